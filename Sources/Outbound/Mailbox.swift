/// An address of mail, and the name of whose it is.
///
/// Only ASCII goes into an address, and nothing that ends it or begins another: what a row says cannot add a recipient.
struct Mailbox: Hashable {
    /// As `name@host`.
    let address: String
    /// The part behind the `@`.
    let host: String
    private let name: String

    /// - Parameters:
    ///   - text: `name@host` or `Name <name@host>`.
    ///   - role: whose address this is, for the text of the error, which does not repeat the address.
    /// - Throws: ``OutboundError/invalidMail(_:)``.
    init(_ text: String, of role: String) throws(OutboundError) {
        let trimmed = printable(text)
        let isNamed = trimmed.hasSuffix(">")
        let pieces = trimmed.split(separator: "<", omittingEmptySubsequences: false)
        let address = isNamed ? pieces[pieces.count - 1].dropLast() : pieces[0]
        let parts = address.split(separator: "@", omittingEmptySubsequences: false)
        guard pieces.count == (isNamed ? 2 : 1), parts.count == 2, Self.isLocalPart(parts[0]), Self.isHost(parts[1]),
            address.utf8.count <= 254, text.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control })
        else {
            throw .invalidMail("\(role) has no address of the form name@host, in ASCII (a host's name with other letters in its xn-- form)")
        }
        self.address = String(address)
        host = String(parts[1])
        name = isNamed ? Self.unquoted(printable(String(pieces[0]))) : ""
    }

    /// As a header has it; folded, if long.
    var headerForm: String {
        guard !name.isEmpty else { return address }
        return "\(EncodedWords.phrase(name))\r\n <\(address)>"
    }

    /// Source: RFC 5321, 4.1.2 (Dot-string).
    private static func isLocalPart(_ text: Substring) -> Bool {
        let isAllowed = { (byte: UInt8) in byte.isASCIILetterOrDigit || "!#$%&'*+-/=?^_`{|}~".utf8.contains(byte) }
        return text.utf8.count <= 64
            && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy(isAllowed) }
    }

    private static func isHost(_ text: Substring) -> Bool {
        text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                && label.utf8.allSatisfy { $0.isASCIILetterOrDigit || $0 == UInt8(ascii: "-") }
        }
    }

    private static func unquoted(_ name: String) -> String {
        guard name.count >= 2, name.hasPrefix("\""), name.hasSuffix("\"") else { return name }
        return String(name.dropFirst().dropLast()).replacing("\\", with: "")
    }
}
