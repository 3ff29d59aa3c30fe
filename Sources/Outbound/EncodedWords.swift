/// Texts in a mail's head, which is of ASCII and of short lines.
///
/// Source: RFC 2047, the Q encoding, in the form that may stand anywhere (5, rule 3).
enum EncodedWords {
    /// A subject: as it is where that can be read so, else in encoded words on lines of their own. Nothing in it ends the header.
    static func unstructured(_ text: String) -> String {
        let text = printable(text)
        // What looks like an encoded word would be decoded.
        return isShort(text) && !text.contains("=?") && text.utf8.allSatisfy { (0x20...0x7e).contains($0) } ? text : encoded(text)
    }

    /// A name before an address: as it is where it is of words and spaces only, which need no quotes.
    static func phrase(_ text: String) -> String {
        let text = printable(text)
        return isShort(text) && text.utf8.allSatisfy { $0.isASCIILetterOrDigit || " !#$%&'*+-/^_`{|}~".utf8.contains($0) } ? text : encoded(text)
    }

    private static func isShort(_ text: String) -> Bool { text.utf8.count <= contentLimit }

    private static func encoded(_ text: String) -> String {
        var words: [String] = []
        var content = ""
        // No character is torn, for each word is decoded by itself.
        for scalar in text.unicodeScalars {
            let encoded = encoded(scalar)
            if content.utf8.count + encoded.utf8.count > contentLimit {
                words.append(content)
                content = ""
            }
            content += encoded
        }
        return (words + [content]).map { "=?utf-8?Q?\($0)?=" }.joined(separator: "\r\n ")
    }

    /// With what stands around, and the longest name of a header before, a line has less than 76 characters.
    private static let contentLimit = 50

    private static func encoded(_ scalar: Unicode.Scalar) -> String {
        if scalar == " " { return "_" }
        return UTF8.encode(scalar)?.map { byte in
            byte.isASCIILetterOrDigit || "!*+-/".utf8.contains(byte) ? String(UnicodeScalar(byte)) : QuotedPrintable.escape(byte)
        }.joined() ?? ""
    }
}
