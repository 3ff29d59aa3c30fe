/// A message's body that is no event, as a member of the event that stands for it.
extension OutputBuffer {
    /// Appends `,"body":…` with as much of it as `byteCountLimit` bytes of JSON hold, as text where that is UTF-8, else `,"body_base64":…`; nothing where there is no room.
    /// - Returns: How many bytes of the body it holds.
    mutating func appendBody(_ body: UnsafeRawBufferPointer, byteCountLimit: Int) -> Int {
        // The longer key, and quotes.
        let valueByteCount = byteCountLimit - 20
        guard valueByteCount > 0 else { return 0 }
        if let text = Self.textPrefix(of: body, byteCountLimit: valueByteCount) {
            append(",\"body\":")
            _ = appendJSONString(text)
            return text.count
        }
        // Four digits stand for three bytes.
        let bytes = UnsafeRawBufferPointer(rebasing: body.prefix(valueByteCount / 4 * 3))
        append(",\"body_base64\":\"")
        append(base64: bytes)
        append(UInt8(ascii: "\""))
        return bytes.count
    }

    /// The beginning of a text that has no more than so many bytes as JSON; nil if it is no UTF-8.
    private static func textPrefix(
        of text: UnsafeRawBufferPointer, byteCountLimit: Int
    ) -> UnsafeRawBufferPointer? {
        var index = 0
        var byteCount = 0
        while index < text.count {
            let byte = text[index]
            let length = byte < 0x80 ? 1 : UTF8Validation.sequenceLength(text, at: index)
            guard length > 0 else { return nil }
            // An escape has six bytes at most.
            let isPlain = byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
            byteCount += isPlain ? length : 6
            guard byteCount <= byteCountLimit else { break }
            index += length
        }
        return UnsafeRawBufferPointer(rebasing: text[..<index])
    }

    /// RFC 4648, section 4.
    private mutating func append(base64 bytes: UnsafeRawBufferPointer) {
        var index = 0
        while index < bytes.count {
            let count = min(3, bytes.count - index)
            var group = UInt32(bytes[index]) << 16
            if count > 1 { group |= UInt32(bytes[index + 1]) << 8 }
            if count > 2 { group |= UInt32(bytes[index + 2]) }
            append(Self.base64Digit(group >> 18))
            append(Self.base64Digit(group >> 12))
            append(count > 1 ? Self.base64Digit(group >> 6) : UInt8(ascii: "="))
            append(count > 2 ? Self.base64Digit(group) : UInt8(ascii: "="))
            index += count
        }
    }

    private static func base64Digit(_ value: UInt32) -> UInt8 {
        let value = UInt8(value & 63)
        switch value {
        case 0..<26: return UInt8(ascii: "A") + value
        case 26..<52: return UInt8(ascii: "a") + value - 26
        case 52..<62: return UInt8(ascii: "0") + value - 52
        case 62: return UInt8(ascii: "+")
        default: return UInt8(ascii: "/")
        }
    }
}
