#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Which names a request may give the server in its `Host`.
///
/// A page in a browser on this machine can have a name of its own resolve to 127.0.0.1 and read what answers there. So a server that listens on
/// loopback answers only to addresses and to names that are its own. One that listens elsewhere can be asked by any name that others gave it.
struct HostRule {
    private let ownName: String
    private let isLoopback: Bool

    /// - Parameter listenHost: As configured: a name, or a number without brackets.
    init(listenHost: String) {
        ownName = Self.canonical(listenHost)
        isLoopback = ownName == "localhost" || ownName == "::1" || ownName.hasPrefix("127.")
    }

    /// - Parameter authority: The `Host`, with its port if it has one; a client that sends none is no browser.
    func allows(_ authority: String?) -> Bool {
        guard isLoopback, let authority, !authority.isEmpty else { return true }
        let name = Self.canonical(Self.withoutPort(authority))
        return name == ownName || name == "localhost" || name.hasSuffix(".localhost") || Self.isAddress(name)
    }

    private static func withoutPort(_ authority: String) -> Substring {
        if authority.hasPrefix("[") { return authority.dropFirst().prefix { $0 != "]" } }
        return authority.prefix { $0 != ":" }
    }

    /// In lower case, without the dot that may end a name.
    private static func canonical(_ name: some StringProtocol) -> String {
        let name = name.lowercased()
        return name.hasSuffix(".") ? String(name.dropLast()) : name
    }

    private static func isAddress(_ name: String) -> Bool {
        var bytes: (UInt64, UInt64) = (0, 0)
        return unsafe inet_pton(AF_INET, name, &bytes) == 1 || inet_pton(AF_INET6, name, &bytes) == 1
    }
}
