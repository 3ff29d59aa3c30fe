extension Shape where Value == Secret {
    /// What libpq takes; its own parser is the judge of the rest, when it connects.
    static var connectionString: Shape {
        Shape(
            allowed: "postgres://…, postgresql://…, or libpq's keyword=value pairs",
            read: { raw in
                guard let text = raw.string,
                    text.isEmpty || text.hasPrefix("postgres://") || text.hasPrefix("postgresql://")
                        || text.contains("=")
                else { return nil }
                return Secret(text, shown: Redaction.connectionString(text))
            },
            show: { .string($0.description) })
    }
}

extension Shape where Value == [Secret] {
    /// One NATS URL or several with commas between them, in one string.
    static var natsURLs: Shape {
        Shape(
            allowed: "nats://host:port or tls://host:port, several separated by commas; / ? and # in a user or password as %2F %3F %23",
            read: { raw in
                guard let text = raw.string else { return nil }
                let urls = text.split(separator: ",", omittingEmptySubsequences: false).map(trimmed)
                guard urls.allSatisfy(isNATSURL) else { return nil }
                return urls.map { Secret($0, shown: Redaction.natsURL($0)) }
            },
            show: { urls in .string(urls.map(\.description).joined(separator: ",")) })
    }

    private static func isNATSURL(_ text: String) -> Bool {
        guard let scheme = ["nats://", "tls://"].first(where: text.hasPrefix) else { return false }
        var authority = text.dropFirst(scheme.count)
        if authority.last == "/" { authority.removeLast() }
        if let at = authority.lastIndex(of: "@") {
            let credentials = authority[..<at]
            // A host would end at any of these: what follows would be taken for it, and named.
            guard !credentials.isEmpty, !credentials.contains(where: { "/?#".contains($0) }) else { return false }
            authority = authority[authority.index(after: at)...]
        }
        guard let (_, port) = HostAndPort.split(authority) else { return false }
        return port.map((1...65_535).contains) ?? true
    }
}

extension Shape where Value == ListenAddress? {
    /// `host:port`, or nil for `""`.
    static var listenAddress: Shape {
        Shape(
            allowed: "host:port, :port for every address of this machine, or \"\" for off",
            read: { raw in
                guard let text = raw.string else { return nil }
                if text.isEmpty { return .some(nil) }
                return ListenAddress(text).map { .some($0) }
            },
            show: { .string($0?.description ?? "") })
    }
}

extension Shape {
    /// Without the spaces around it.
    static func trimmed(_ text: Substring) -> String {
        var text = text.drop(while: \.isWhitespace)
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
