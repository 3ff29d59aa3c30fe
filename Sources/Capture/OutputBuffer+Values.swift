extension OutputBuffer {
    /// Why a value was not written.
    enum ValueFault {
        case notUTF8
        case malformed
        /// The buffer overflows.
        case tooLarge
        /// A composite's text has another number of fields than its type is known to have.
        case compositeChanged
        /// The question about casts is as long as one may be.
        case castsNeeded
    }

    /// Appends the JSON of a scalar that PostgreSQL sent as text; nil when all is well.
    @inline(__always)
    mutating func appendScalar(_ text: UnsafeRawBufferPointer, as shape: ValueShape) -> ValueFault? {
        switch shape {
        case .number:
            if Self.isJSONNumber(text) {
                append(text)
                return nil
            }
            return appendJSONString(text) ? nil : .notUTF8
        case .boolean:
            guard text.count == 1 else { return .malformed }
            switch text[0] {
            case UInt8(ascii: "t"): append("true")
            case UInt8(ascii: "f"): append("false")
            default: return .malformed
            }
            return nil
        case .json: return appendVerbatim(text) ? nil : .notUTF8
        case .text: return appendJSONString(text) ? nil : .notUTF8
        case .timestamp: return appendTimestamp(text, hasZone: false)
        case .timestampWithTimeZone: return appendTimestamp(text, hasZone: true)
        }
    }

    /// `2026-11-23 07:09:12.5+00 BC` → `"2026-11-23T07:09:12.5+00:00 BC"`; `infinity` stays what it is.
    private mutating func appendTimestamp(_ text: UnsafeRawBufferPointer, hasZone: Bool) -> ValueFault? {
        append(UInt8(ascii: "\""))
        var isTimeReached = false
        var index = 0
        while index < text.count {
            let byte = text[index]
            guard byte < 0x80, byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") else {
                return .malformed
            }
            if byte == UInt8(ascii: " "), !isTimeReached {
                append(UInt8(ascii: "T"))
                isTimeReached = true
            } else if hasZone, isTimeReached, byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") {
                // The session is pinned to UTC, whose offset is written `+00`: only the minutes are to be added.
                guard index + 2 < text.count, Self.isDigit(text[index + 1]), Self.isDigit(text[index + 2]) else {
                    return .malformed
                }
                append(UnsafeRawBufferPointer(rebasing: text[index..<index + 3]))
                index += 2
                let hasMinutes = index + 1 < text.count && text[index + 1] == UInt8(ascii: ":")
                if !hasMinutes { append(":00") }
            } else {
                append(byte)
            }
            index += 1
        }
        append(UInt8(ascii: "\""))
        return nil
    }

    @inline(__always)
    private static func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") <= 9 }

    /// RFC 8259's number; PostgreSQL quotes what is none (`NaN`, `Infinity`).
    static func isJSONNumber(_ text: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        if index < text.count, text[index] == UInt8(ascii: "-") { index += 1 }
        let isZeroFirst = index < text.count && text[index] == UInt8(ascii: "0")
        let integerDigitCount = skipDigits(text, &index)
        if integerDigitCount == 0 || (isZeroFirst && integerDigitCount > 1) { return false }
        if index < text.count, text[index] == UInt8(ascii: ".") {
            index += 1
            if skipDigits(text, &index) == 0 { return false }
        }
        if index < text.count, text[index] | 0x20 == UInt8(ascii: "e") {
            index += 1
            if index < text.count, text[index] == UInt8(ascii: "+") || text[index] == UInt8(ascii: "-") { index += 1 }
            if skipDigits(text, &index) == 0 { return false }
        }
        return index == text.count
    }

    /// - Returns: How many digits stood at `index`, which is behind them now.
    @inline(__always)
    private static func skipDigits(_ text: UnsafeRawBufferPointer, _ index: inout Int) -> Int {
        let start = index
        while index < text.count, isDigit(text[index]) { index += 1 }
        return index - start
    }
}
