/// Texts that servers and users wrote, on their way into a log line, an error or `/status`.
package enum ShownText {
    /// Bytes of one text: more than whoever reads it would, less than a hostile server may send.
    package static let byteLimit = 16 * 1024

    /// `text` on one line, or its beginning and how long it was: a line break and the white space around it become `; `, other control characters a blank.
    package static func line(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return cut(text) }
        let lines = text.unicodeScalars.split(whereSeparator: { $0 == "\n" || $0 == "\r" }).map { line in
            String(String.UnicodeScalarView(line.map { isControl($0) ? " " : $0 }))
        }
        let trimmed = lines.map { line in
            line.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
        }
        return cut(trimmed.filter { !$0.isEmpty }.joined(separator: "; "))
    }

    /// What moves a terminal's cursor, or worse.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.generalCategory == .control
    }

    /// `text`, or its beginning and how long it was.
    package static func cut(_ text: String) -> String {
        let byteCount = text.utf8.count
        guard byteCount > byteLimit else { return text }
        // A character that the end cuts through becomes U+FFFD.
        return String(decoding: text.utf8.prefix(byteLimit), as: UTF8.self) + "… (cut: \(byteCount) bytes)"
    }

    /// `a, b, c and 12 more`.
    package static func names(_ names: [String], limit: Int = 10) -> String {
        let shown = names.prefix(limit).joined(separator: ", ")
        return names.count > limit ? "\(shown) and \(names.count - limit) more" : shown
    }
}
