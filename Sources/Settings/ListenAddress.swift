/// Where a server listens: `host:port`, an IPv6 address in brackets.
package struct ListenAddress: Sendable, Equatable {
    /// A name or an address; an IPv6 address without its brackets.
    package let host: String
    /// 0: any free port.
    package let port: Int

    /// Takes both as they are.
    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }
}

extension ListenAddress: LosslessStringConvertible {
    /// All IPv4 addresses of the machine: what a `:port` without a host means.
    private static let everyAddress = "0.0.0.0"

    /// Reads `host:port`, or `:port` for every address of the machine; nil where the port is missing or one of the two cannot be one.
    package init?(_ text: String) {
        guard let (host, port) = HostAndPort.split(text.hasPrefix(":") ? Self.everyAddress + text : text), let port, (0...65_535).contains(port) else { return nil }
        self.init(host: host, port: port)
    }

    /// The form that `init(_:)` reads.
    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
