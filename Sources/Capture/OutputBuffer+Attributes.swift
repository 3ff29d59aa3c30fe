/// What CloudEvents 1.0 demands of an attribute's text ("Type System", String).
extension OutputBuffer {
    /// Appends a JSON string without the characters that an attribute must not have: U+0000 to U+001F, U+007F to U+009F, noncharacters and
    /// halves of surrogate pairs go out as `%XX`, once for each byte of their UTF-8. Everything else, `%` too, as it stands.
    /// - Parameter json: A JSON string, with its quotes, in UTF-8.
    mutating func appendAttribute(_ json: UnsafeRawBufferPointer) {
        guard reserve(json.count) else { return }
        var runStart = 0
        var index = 0
        while index < json.count {
            let (code, byteCount) = Self.character(json, at: index)
            if Self.isForbiddenInAttribute(code) {
                append(UnsafeRawBufferPointer(rebasing: json[runStart..<index]))
                append(percentEncoded: code)
                runStart = index + byteCount
            }
            index += byteCount
        }
        append(UnsafeRawBufferPointer(rebasing: json[runStart..<json.count]))
    }

    @inline(__always)
    private static func isForbiddenInAttribute(_ code: UInt32) -> Bool {
        code < 0x20 || (0x7F...0x9F).contains(code) || (0xD800...0xDFFF).contains(code)
            || (0xFDD0...0xFDEF).contains(code) || code & 0xFFFE == 0xFFFE
    }

    /// The character at `index`, escaped or not, and how many bytes stand for it. Half a surrogate pair is its own code.
    @inline(__always)
    private static func character(_ json: UnsafeRawBufferPointer, at index: Int) -> (code: UInt32, byteCount: Int) {
        let first = json[index]
        if first == UInt8(ascii: "\\") { return escapedCharacter(json, at: index) }
        // What is not UTF-8 has been refused before; should it come, its bytes are characters.
        let byteCount = first < 0x80 ? 1 : max(1, UTF8Validation.sequenceLength(json, at: index))
        guard byteCount > 1 else { return (UInt32(first), 1) }
        var code = UInt32(first) & (0x7F >> UInt32(byteCount))
        for offset in 1..<byteCount { code = code << 6 | UInt32(json[index + offset] & 0x3F) }
        return (code, byteCount)
    }

    private static func escapedCharacter(
        _ json: UnsafeRawBufferPointer, at index: Int
    ) -> (code: UInt32, byteCount: Int) {
        guard index + 1 < json.count else { return (UInt32(json[index]), 1) }
        switch json[index + 1] {
        case UInt8(ascii: "b"): return (0x08, 2)
        case UInt8(ascii: "f"): return (0x0C, 2)
        case UInt8(ascii: "n"): return (0x0A, 2)
        case UInt8(ascii: "r"): return (0x0D, 2)
        case UInt8(ascii: "t"): return (0x09, 2)
        case UInt8(ascii: "u"): break
        // A quote, a backslash or a slash.
        default: return (UInt32(json[index + 1]), 2)
        }
        guard let unit = codeUnit(json, at: index + 2) else { return (UInt32(json[index + 1]), 2) }
        guard unit & 0xFC00 == 0xD800, index + 7 < json.count, json[index + 6] == UInt8(ascii: "\\"),
            json[index + 7] == UInt8(ascii: "u"), let low = codeUnit(json, at: index + 8), low & 0xFC00 == 0xDC00
        else { return (unit, 6) }
        return (0x10000 + ((unit & 0x3FF) << 10) + (low & 0x3FF), 12)
    }

    /// Four hexadecimal digits; nil where there are none.
    private static func codeUnit(_ json: UnsafeRawBufferPointer, at start: Int) -> UInt32? {
        guard start + 4 <= json.count else { return nil }
        var unit: UInt32 = 0
        for index in start..<start + 4 {
            let byte = json[index]
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            default: return nil
            }
            unit = unit << 4 | UInt32(digit)
        }
        return unit
    }

    /// Each byte of the character's UTF-8; of half a surrogate pair, of what would be.
    private mutating func append(percentEncoded code: UInt32) {
        if code < 0x80 { return append(percentEncodedByte: code) }
        if code < 0x800 {
            append(percentEncodedByte: 0xC0 | code >> 6)
        } else {
            if code < 0x10000 {
                append(percentEncodedByte: 0xE0 | code >> 12)
            } else {
                append(percentEncodedByte: 0xF0 | code >> 18)
                append(percentEncodedByte: 0x80 | code >> 12 & 0x3F)
            }
            append(percentEncodedByte: 0x80 | code >> 6 & 0x3F)
        }
        append(percentEncodedByte: 0x80 | code & 0x3F)
    }

    private mutating func append(percentEncodedByte byte: UInt32) {
        EntityNaming.percentEncode(UInt8(truncatingIfNeeded: byte)) { append($0) }
    }
}
