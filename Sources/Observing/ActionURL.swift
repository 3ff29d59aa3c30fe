/// A fixed address that requests go to. Its path and its query may be keys: only `host` is for logs.
package struct ActionURL: Sendable, Equatable {
    /// FraiseQL's limit.
    package static let byteCountLimit = 2_048

    /// The address itself.
    package let value: ActionSecret
    /// `https`, or `http`.
    package let scheme: String
    /// In small letters; an IPv6 address without its brackets.
    package let host: String
    /// The scheme's own where none is said.
    package let port: Int

    /// What the circuit breaker and the metrics tell apart: `hooks.example.com`, with the port where that is not the scheme's own.
    package var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == Self.defaultPort(scheme) ? name : "\(name):\(port)"
    }

    /// - Throws: What is wrong with the text, as a sentence that shows nothing of it.
    package init(_ text: String) throws(Refusal) {
        guard text.utf8.count <= Self.byteCountLimit else { throw Refusal("has more than \(Self.byteCountLimit) bytes") }
        guard !text.contains("{{") else {
            throw Refusal(
                "has a template: an address is fixed, nothing of an event ever becomes part of one; put the event's values in body_template")
        }
        guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\\") }) else {
            throw Refusal("has a blank, a backslash or a character outside ASCII; write these as %XX, and a host's name in Punycode (xn--…)")
        }
        let lower = text.lowercased()
        guard let scheme = ["https", "http"].first(where: { lower.hasPrefix($0 + "://") }) else {
            throw Refusal("must begin with https:// or http://")
        }
        let authority = text.dropFirst(scheme.utf8.count + 3).prefix { !"/?#".contains($0) }
        guard !authority.contains("@") else {
            throw Refusal("has a user or a password before the host; put them in a header (Authorization)")
        }
        guard let (host, port) = Self.split(authority) else {
            throw Refusal("has no host, or a host or port that is none; write https://host/path or https://host:port/path")
        }
        value = ActionSecret(text)
        self.scheme = scheme
        self.host = host.lowercased()
        self.port = port ?? Self.defaultPort(scheme)
    }

    /// What is wrong with an address; completes "… " behind the key's name.
    package struct Refusal: Error, Sendable, Equatable {
        package let reason: String

        fileprivate init(_ reason: String) { self.reason = reason }
    }

    private static func defaultPort(_ scheme: String) -> Int { scheme == "http" ? 80 : 443 }

    private static func split(_ authority: Substring) -> (host: Substring, port: Int?)? {
        var host = authority
        var rest = Substring()
        if authority.first == "[" {
            guard let end = authority.firstIndex(of: "]") else { return nil }
            host = authority[authority.index(after: authority.startIndex)..<end]
            rest = authority[authority.index(after: end)...]
            guard host.contains(":"), host.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." }) else { return nil }
        } else {
            if let colon = authority.firstIndex(of: ":") {
                host = authority[..<colon]
                rest = authority[colon...]
            }
            guard host.split(separator: ".").count > 0, host.allSatisfy({ $0.isLetter || $0.isNumber || "-._".contains($0) }) else { return nil }
        }
        if rest.isEmpty { return (host, nil) }
        guard rest.first == ":", rest.dropFirst().allSatisfy(\.isNumber), let port = Int(rest.dropFirst()), (1...65_535).contains(port)
        else { return nil }
        return (host, port)
    }
}

extension ActionURL: CustomStringConvertible {
    /// `https://hooks.example.com/…`
    package var description: String { "\(scheme)://\(authority)/…" }
}
