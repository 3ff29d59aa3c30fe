import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A host and a port, in the words that operators know: what is shown, and why it could not be used.
struct ServerAddress: Sendable, CustomStringConvertible {
    /// A name, or an IPv4 or IPv6 number without brackets.
    let host: String
    let port: Int

    init(_ address: (host: String, port: Int)) {
        host = address.host
        port = address.port
    }

    /// `host:port`, with brackets around an IPv6 number.
    var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// What an error of NIO means to whoever chose the address.
    static func reason(_ error: any Error) -> String {
        guard let code = (error as? IOError)?.errnoCode else { return "\(error)" }
        return switch code {
        case EADDRINUSE: "the address is in use"
        case EADDRNOTAVAIL: "not an address of this machine"
        case EACCES, EPERM: "not permitted"
        case ECONNREFUSED: "connection refused"
        default: "\(error)"
        }
    }
}
