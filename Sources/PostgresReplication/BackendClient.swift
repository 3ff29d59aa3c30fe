/// The client of a server's process, as `pg_stat_activity` has it.
public struct BackendClient: Sendable, Equatable {
    /// Its `application_name`; nil: it gave none.
    public var application: String?
    public var role: String
    /// An IPv4 or IPv6 number; nil: it came over a Unix socket.
    public var address: String?
    /// nil: it came over a Unix socket.
    public var port: UInt16?
    /// RFC 3339, in seconds.
    public var since: String

    public init(application: String?, role: String, address: String?, port: UInt16?, since: String) {
        self.application = application
        self.role = role
        self.address = address
        self.port = port
        self.since = since
    }
}
