/// One mailbox: `ops@example.com`, or `Orders <ops@example.com>`.
package struct MailAddress: Sendable, Equatable {
    /// What the server is told: `ops@example.com`.
    package let address: String
    /// With the name before it, if there is one: `Orders <ops@example.com>`, on one line, and with these two brackets only.
    package let text: String

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
            self.text = address
            return
        }
        guard let start = text.lastIndex(of: "<") else { return nil }
        let inside = text[text.index(after: start)...].dropLast()
        guard Self.isAddress(inside) else { return nil }
        address = String(inside)
        // A name of a row may have brackets in it: whoever splits the text at them must find the address.
        let name = Self.trimmed(HeaderText.cleaned(String(text[..<start])).filter { !"<>".contains($0) }[...])
        self.text = name.isEmpty ? address : "\(name) <\(address)>"
    }

    /// A dot-atom, `@`, and a host's name: no quoted parts, comments or literals, which no mailbox of today has.
    private static func isAddress(_ text: Substring) -> Bool {
        let parts = text.utf8.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
        guard text.utf8.count <= byteCountLimit, parts.count == 2, parts[0].count <= localByteCountLimit else { return false }
        let isLocal = isDotted(parts[0]) { !$0.isEmpty && $0.allSatisfy { isAlphanumeric($0) || "!#$%&'*+/=?^_`{|}~-".utf8.contains($0) } }
        return isLocal
            && isDotted(parts[1]) { label in
                (1...63).contains(label.count) && label.first != hyphen && label.last != hyphen
                    && label.allSatisfy { isAlphanumeric($0) || $0 == hyphen }
            }
    }

    private static let hyphen = UInt8(ascii: "-")

    private static func isDotted(_ text: Substring.UTF8View.SubSequence, _ isPart: (Substring.UTF8View.SubSequence) -> Bool) -> Bool {
        text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy(isPart)
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
}
