import Capture

/// Texts of events on their way into a header's value: on one line.
enum HeaderText {
    /// What is not printable ASCII, and `%` itself, as `%XX`: reversible.
    static func percentEncoded(_ text: String) -> String {
        guard text.utf8.contains(where: { !isPrintable($0) || $0 == UInt8(ascii: "%") }) else { return text }
        var encoded: [UInt8] = []
        for byte in text.utf8 {
            if isPrintable(byte), byte != UInt8(ascii: "%") {
                encoded.append(byte)
            } else {
                EntityNaming.percentEncode(byte) { encoded.append($0) }
            }
        }
        return String(decoding: encoded, as: UTF8.self)
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
}
