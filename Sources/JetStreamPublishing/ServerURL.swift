/// A server's URL taken apart: libnats gets only scheme, host and port; credentials go by its options, so that they
/// stand in no URL that is shown.
struct ServerURL: Hashable, Sendable {
    /// What stood before the `@`: a user with a password, or a token.
    enum Credentials: Hashable, Sendable {
        /// `user:password@`
        case user(String, password: String)
        /// `token@`
        case token(String)
    }

    /// The port of a URL that names none.
    static let defaultPort: UInt16 = 4_222

    /// Whether TLS is a must.
    let isTLS: Bool
    /// Without brackets, if it is an IPv6 address.
    let host: String
    /// Never 0.
    let port: UInt16
    /// nil if nothing stood before an `@`.
    let credentials: Credentials?

    /// Reads `nats://`, `tls://` or bare `[user[:password]@]host[:port]`; percent-encoding in user and password is undone.
    /// - Throws: `.configuration`, without the credentials.
    init(_ text: String) throws(JetStreamError) {
        var rest = Substring(text)
        while let last = rest.last, last.isWhitespace { rest.removeLast() }
        while let first = rest.first, first.isWhitespace { rest.removeFirst() }
        let shown = Self.withoutCredentials(String(rest))
        var scheme = "nats"
        if let end = Self.index(of: "://", in: rest) {
            scheme = rest[..<end].lowercased()
            rest = rest[rest.index(end, offsetBy: 3)...]
        }
        guard scheme == "nats" || scheme == "tls" else {
            throw .configuration("\(shown): the scheme must be nats or tls")
        }
        isTLS = scheme == "tls"
        rest = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        if let at = rest.lastIndex(of: "@") {
            credentials = try Self.credentials(rest[..<at], shown)
            rest = rest[rest.index(after: at)...]
        } else {
            credentials = nil
        }
        (host, port) = try Self.hostAndPort(rest, shown)
    }

    /// As libnats takes it.
    var text: String { "\(isTLS ? "tls" : "nats")://\(host.contains(":") ? "[\(host)]" : host):\(port)" }

    /// `text` without what stands before an `@`, and without a query or fragment, in which there may be a secret too.
    static func withoutCredentials(_ text: String) -> String {
        let isQuery = { (character: Character) in character == "?" || character == "#" }
        guard let at = text.lastIndex(of: "@") else { return String(text.prefix { !isQuery($0) }) }
        let scheme = index(of: "://", in: Substring(text)).map { String(text[..<$0]) + "://" } ?? ""
        // Which of the two a ? before the @ belongs to, nobody knows.
        guard !text[..<at].contains(where: isQuery) else { return scheme + "***" }
        return scheme + String(text[text.index(after: at)...].prefix { !isQuery($0) })
    }

    private static func credentials(_ text: Substring, _ shown: String) throws(JetStreamError) -> Credentials {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let decoded = parts.compactMap(percentDecoded)
        guard decoded.count == parts.count, decoded.allSatisfy({ !$0.isEmpty && !$0.utf8.contains(0) }) else {
            throw .configuration("\(shown): user or password is empty or not percent-encoded")
        }
        return decoded.count == 2 ? .user(decoded[0], password: decoded[1]) : .token(decoded[0])
    }

    private static func hostAndPort(_ text: Substring, _ shown: String) throws(JetStreamError) -> (String, UInt16) {
        var host = text
        var portText: Substring?
        if text.first == "[", let end = text.firstIndex(of: "]") {
            host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.first == ":" else { throw .configuration("\(shown): not a host and port") }
            portText = rest.isEmpty ? nil : rest.dropFirst()
        } else if let colon = text.lastIndex(of: ":") {
            host = text[..<colon]
            portText = text[text.index(after: colon)...]
            guard !host.contains(":") else {
                throw .configuration("\(shown): an IPv6 address needs brackets")
            }
        }
        guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
            throw .configuration("\(shown): no host")
        }
        guard let portText else { return (String(host), defaultPort) }
        guard let port = UInt16(portText), port > 0 else { throw .configuration("\(shown): bad port") }
        return (String(host), port)
    }

    private static func index(of separator: String, in text: Substring) -> Substring.Index? {
        var start = text.startIndex
        while start < text.endIndex {
            if text[start...].hasPrefix(separator) { return start }
            start = text.index(after: start)
        }
        return nil
    }

    private static func percentDecoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = Substring(text).utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(Substring(rest.prefix(2)), radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
