/// One mailbox: `ops@example.com`, or `Orders <ops@example.com>`.
package struct MailAddress: Sendable, Equatable {
    /// What the server is told: `ops@example.com`.
    package let address: String
    /// As a mail's header has it, on one line of printable ASCII: the name as a quoted string or as encoded words.
    package let headerText: String

    /// Of an address (RFC 5321, 4.5.3.1.3).
    private static let byteCountLimit = 254
    /// Of the part before the `@` (RFC 5321, 4.5.3.1.1).
    private static let localByteCountLimit = 64
    /// Of a text that may be one, its name included.
    private static let textByteCountLimit = 1_000

    /// nil: the text is not one mailbox, or one with an address outside ASCII, which not every server takes.
    package init?(_ text: String) {
        guard text.utf8.count <= Self.textByteCountLimit else { return nil }
        let text = Self.trimmed(Substring(text))
        guard text.last == ">" else {
            guard Self.isAddress(text) else { return nil }
            address = String(text)
            headerText = address
            return
        }
        guard let start = text.lastIndex(of: "<") else { return nil }
        let inside = text[text.index(after: start)...].dropLast()
        guard Self.isAddress(inside) else { return nil }
        address = String(inside)
        let name = Self.unquoted(Self.trimmed(text[..<start]))
        headerText = name.isEmpty ? address : "\(Self.shown(name)) <\(address)>"
    }

    /// A dot-atom, `@`, and a host's name: no quoted parts, comments or literals, which no mailbox of today has.
    private static func isAddress(_ text: Substring) -> Bool {
        let parts = text.utf8.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
        guard text.utf8.count <= byteCountLimit, parts.count == 2, parts[0].count <= localByteCountLimit else { return false }
        return isDotted(parts[0]) { isAlphanumeric($0) || "!#$%&'*+/=?^_`{|}~-".utf8.contains($0) }
            && isDotted(parts[1]) { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
    }

    private static func isDotted(_ text: Substring.UTF8View.SubSequence, _ isAllowed: (UInt8) -> Bool) -> Bool {
        text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { !$0.isEmpty && $0.allSatisfy(isAllowed) }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: false
        }
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }

    private static func unquoted(_ name: Substring) -> String {
        guard name.count > 1, name.first == "\"", name.last == "\"" else { return String(name) }
        return String(name.dropFirst().dropLast()).replacing("\\\"", with: "\"").replacing("\\\\", with: "\\")
    }

    /// A name as a header has it.
    private static func shown(_ name: String) -> String {
        let encoded = HeaderText.encodedWords(name)
        if encoded.hasPrefix("=?") { return encoded }
        return "\"" + encoded.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
}
