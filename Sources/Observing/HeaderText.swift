/// Texts of events on their way into a header's value, of HTTP, NATS or a mail: printable ASCII, and never a line break.
enum HeaderText {
    /// Bytes of a mail's title at most: as encoded words it stays on one line of what SMTP takes (998).
    static let titleByteCountLimit = 400
    /// Of an encoded word, delimiters included (RFC 2047, 2).
    private static let wordByteCountLimit = 75

    /// What is not printable ASCII, and `%` itself, as `%XX`: reversible.
    static func percentEncoded(_ text: String) -> String {
        guard text.utf8.contains(where: { !isPrintable($0) || $0 == UInt8(ascii: "%") }) else { return text }
        var encoded: [UInt8] = []
        for byte in text.utf8 {
            if isPrintable(byte), byte != UInt8(ascii: "%") {
                encoded.append(byte)
            } else {
                encoded += [UInt8(ascii: "%"), hexadecimalDigits[Int(byte >> 4)], hexadecimalDigits[Int(byte & 15)]]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }

    /// A header's unstructured text (RFC 2047): as it is where it is printable ASCII, else as encoded words. Control characters become blanks: none of them
    /// belongs into a title, and whoever decodes words must not find a line break either.
    static func encodedWords(_ text: String) -> String {
        let text = cut(cleaned(text))
        // What looks like an encoded word would be decoded.
        guard text.utf8.contains(where: { !isPrintable($0) }) || text.contains("=?") else { return text }
        let head = "=?utf-8?B?"
        let tail = "?="
        // Base64 has four characters for three bytes.
        let pieceByteCountLimit = (wordByteCountLimit - head.utf8.count - tail.utf8.count) / 4 * 3
        var words: [String] = []
        var piece: [UInt8] = []
        for scalar in text.unicodeScalars {
            // A word ends where a character does.
            if piece.count + UTF8.width(scalar) > pieceByteCountLimit {
                words.append(head + base64(piece) + tail)
                piece = []
            }
            piece += Array(String(scalar).utf8)
        }
        words.append(head + base64(piece) + tail)
        return words.joined(separator: " ")
    }

    /// Base64 (RFC 4648) on one line.
    static func base64(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        var index = 0
        while index < bytes.count {
            let group = bytes[index..<min(index + 3, bytes.count)]
            var bits = 0
            for byte in group { bits = bits << 8 | Int(byte) }
            bits <<= 8 * (3 - group.count)
            for position in 0..<4 {
                text.append(position <= group.count ? base64Digits[bits >> (18 - 6 * position) & 63] : UInt8(ascii: "="))
            }
            index += 3
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Whether a byte is a character of ASCII that is seen, or a blank.
    static func isPrintable(_ byte: UInt8) -> Bool { (0x20...0x7E).contains(byte) }

    /// Control characters and line separators as blanks.
    static func cleaned(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { isControl($0) ? " " : $0 }))
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }

    /// The beginning, up to the limit, of a longer text.
    private static func cut(_ text: String) -> String {
        guard text.utf8.count > titleByteCountLimit else { return text }
        var kept = String.UnicodeScalarView()
        var byteCount = 0
        for scalar in text.unicodeScalars {
            byteCount += UTF8.width(scalar)
            if byteCount > titleByteCountLimit { break }
            kept.append(scalar)
        }
        return String(kept) + "…"
    }

    private static let hexadecimalDigits = Array("0123456789ABCDEF".utf8)
    private static let base64Digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
}
