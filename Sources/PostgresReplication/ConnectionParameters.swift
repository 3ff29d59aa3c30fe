/// Where and as whom to connect: all of it libpq's.
///
/// Several hosts, `target_session_attrs`, `passfile`, `service`, `sslmode=verify-full`, client certificates, GSS: whatever
/// libpq understands is passed to it. Prints without the connection string, which may hold a password.
public struct ConnectionParameters: Sendable {
    private(set) var conninfo: String
    let applicationName: String
    let connectTimeout: Duration?
    private let reread: (@Sendable () -> String?)?

    /// - Parameters:
    ///   - conninfo: libpq's `key=value` string, a `postgresql://` URI, a bare database name, or "" for libpq's own `PG…`
    ///     environment.
    ///   - applicationName: What `pg_stat_activity` shows, unless `conninfo` or `PGAPPNAME` names another.
    ///   - connectTimeout: The longest to wait for one address before the next host is tried. nil shares the time that a
    ///     connection is given evenly among the hosts. A `connect_timeout` in `conninfo` or `PGCONNECT_TIMEOUT` goes before both.
    ///   - reread: What `conninfo` is by now, asked at each connect, where it stands in a file that may be replaced; nil: it cannot
    ///     be read now, and the former one is used.
    public init(
        conninfo: String, applicationName: String = "slotstream", connectTimeout: Duration? = nil,
        reread: (@Sendable () -> String?)? = nil
    ) {
        self.conninfo = conninfo
        self.applicationName = applicationName
        self.connectTimeout = connectTimeout
        self.reread = reread
    }

    /// As they are by now, for one connection.
    var current: ConnectionParameters {
        var current = self
        if let conninfo = reread?() { current.conninfo = conninfo }
        return current
    }
}

extension ConnectionParameters: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "ConnectionParameters(applicationName: \(applicationName))" }
    public var debugDescription: String { description }
    /// Empty: `dump` would otherwise print the connection string.
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}

extension ConnectionParameters {
    /// What libpq is given, in its order: a later value goes before an earlier one.
    ///
    /// - Parameters:
    ///   - replication: libpq's `replication`: `database` for a walsender, `false` for an ordinary session.
    ///   - hosts: What to use in place of the hosts in `conninfo`.
    func keywords(replication: String, hosts: HostList?) -> [(keyword: String, value: String)] {
        var keywords: [(String, String)] = [
            // A peer that vanished without a word (host down, cable cut) is found in 25 s when we wait for it, in 15 s when it
            // has not acknowledged what we sent. A server that is merely silent acknowledges, and is left alone.
            ("keepalives", "1"), ("keepalives_idle", "10"), ("keepalives_interval", "5"), ("keepalives_count", "3"),
            ("tcp_user_timeout", "15000"),
            ("fallback_application_name", applicationName),
            ("dbname", conninfo),
            ("replication", replication),
            ("client_encoding", "UTF8"),
        ]
        if let hosts {
            keywords += [("host", hosts.hosts), ("hostaddr", hosts.addresses), ("port", hosts.ports)]
        }
        return keywords
    }
}
