extension OutputBuffer {
    /// Appends a JSON string, quotes included, escaped exactly as PostgreSQL's `escape_json` does: `\b \f \n \r \t \" \\`, other bytes below space as `\u00xx`, everything else as it is.
    /// - Returns: false if the bytes are not UTF-8; what was written so far is of no use then. What cannot fit is not looked at.
    mutating func appendJSONString(_ text: UnsafeRawBufferPointer) -> Bool {
        // Room for the text without escapes and both quotes; an escape reserves its own.
        guard reserve(text.count + 2) else { return true }
        append(UInt8(ascii: "\""))
        var runStart = 0
        var index = 0
        while index < text.count {
            // Eight bytes at a time while nothing needs care.
            while index + 8 <= text.count,
                !Self.needsCare(text.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            {
                index += 8
            }
            guard index < text.count else { break }
            let byte = text[index]
            if byte >= 0x80 {
                let length = UTF8Validation.sequenceLength(text, at: index)
                if length == 0 { return false }
                index += length
            } else if byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
                append(UnsafeRawBufferPointer(rebasing: text[runStart..<index]))
                appendEscape(of: byte)
                index += 1
                runStart = index
            } else {
                index += 1
            }
        }
        append(UnsafeRawBufferPointer(rebasing: text[runStart..<text.count]))
        append(UInt8(ascii: "\""))
        return true
    }

    /// Appends bytes that are JSON already, if they are UTF-8. What cannot fit is not looked at.
    mutating func appendVerbatim(_ text: UnsafeRawBufferPointer) -> Bool {
        guard reserve(text.count) else { return true }
        guard UTF8Validation.isValid(text) else { return false }
        append(text)
        return true
    }

    private mutating func appendEscape(of byte: UInt8) {
        append(UInt8(ascii: "\\"))
        switch byte {
        case 0x08: append(UInt8(ascii: "b"))
        case 0x0C: append(UInt8(ascii: "f"))
        case 0x0A: append(UInt8(ascii: "n"))
        case 0x0D: append(UInt8(ascii: "r"))
        case 0x09: append(UInt8(ascii: "t"))
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): append(byte)
        default:
            append("u00")
            append(hexadecimal: byte)
        }
    }

    /// Whether one of eight bytes is below space, a quote, a backslash, or not ASCII (the usual "has a byte less than" bit trick; it may say yes too often, never no).
    @inline(__always)
    private static func needsCare(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        let belowSpace = word &- (ones &* 0x20)
        let quote = (word ^ (ones &* 0x22)) &- ones
        let backslash = (word ^ (ones &* 0x5C)) &- ones
        return (word | belowSpace | quote | backslash) & highs != 0
    }
}

/// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
enum UTF8Validation {
    static func isValid(_ text: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        while index < text.count {
            while index + 8 <= text.count,
                text.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
            {
                index += 8
            }
            guard index < text.count else { break }
            let length = text[index] < 0x80 ? 1 : sequenceLength(text, at: index)
            if length == 0 { return false }
            index += length
        }
        return true
    }

    /// The byte count of the multi-byte sequence at `index`; 0 if there is none.
    static func sequenceLength(_ text: UnsafeRawBufferPointer, at index: Int) -> Int {
        let first = text[index]
        func continues(_ offset: Int, _ range: ClosedRange<UInt8> = 0x80...0xBF) -> Bool {
            index + offset < text.count && range.contains(text[index + offset])
        }
        switch first {
        case 0xC2...0xDF: return continues(1) ? 2 : 0
        case 0xE0: return continues(1, 0xA0...0xBF) && continues(2) ? 3 : 0
        case 0xED: return continues(1, 0x80...0x9F) && continues(2) ? 3 : 0
        case 0xE1...0xEF: return continues(1) && continues(2) ? 3 : 0
        case 0xF0: return continues(1, 0x90...0xBF) && continues(2) && continues(3) ? 4 : 0
        case 0xF1...0xF3: return continues(1) && continues(2) && continues(3) ? 4 : 0
        case 0xF4: return continues(1, 0x80...0x8F) && continues(2) && continues(3) ? 4 : 0
        default: return 0
        }
    }
}
