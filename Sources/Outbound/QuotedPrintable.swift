/// A mail's text in lines of at most 76 characters of ASCII.
///
/// Source: RFC 2045, 6.7.
enum QuotedPrintable {
    /// `text` with line breaks as mail has them, whichever it had.
    static func lines(of text: String) -> [UInt8] {
        var result: [UInt8] = []
        var columns = 0
        let bytes = Array(text.utf8)
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if byte == carriageReturn || byte == lineFeed {
                if byte == carriageReturn, index < bytes.count, bytes[index] == lineFeed { index += 1 }
                result += lineBreak
                columns = 0
                continue
            }
            let isLast = index == bytes.count || bytes[index] == carriageReturn || bytes[index] == lineFeed
            // One column is for the "=" that says that the line goes on.
            if columns + (isLiteral(byte, isFirst: false, isLast: isLast) ? 1 : 3) > 75 {
                result += [UInt8(ascii: "=")] + lineBreak
                columns = 0
            }
            let encoded = isLiteral(byte, isFirst: columns == 0, isLast: isLast) ? [byte] : Array(escape(byte).utf8)
            result += encoded
            columns += encoded.count
        }
        return columns == 0 ? result : result + lineBreak
    }

    /// As `=0A`.
    static func escape(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16, uppercase: true)
        return digits.count == 1 ? "=0\(digits)" : "=\(digits)"
    }

    private static let carriageReturn = UInt8(ascii: "\r")
    private static let lineFeed = UInt8(ascii: "\n")
    private static let lineBreak: [UInt8] = [carriageReturn, lineFeed]

    private static func isLiteral(_ byte: UInt8, isFirst: Bool, isLast: Bool) -> Bool {
        switch byte {
        // At an end of a line they get lost.
        case UInt8(ascii: " "), UInt8(ascii: "\t"): !isLast
        case UInt8(ascii: "="): false
        // One alone would be the mail's end, for a server between that forgets to double it.
        case UInt8(ascii: "."): !isFirst
        default: (0x21...0x7e).contains(byte)
        }
    }
}
