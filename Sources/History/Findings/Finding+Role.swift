import PostgresReplication

/// The role, and its connection to PostgreSQL.
extension Finding {
    /// What an error of PostgreSQL's side finds out about role and connection; nil: nothing that lasts.
    static func id(of error: PostgresError) -> FindingID? {
        if error.isPooler { return .throughPooler }
        if case .passwordMissing = error { return .credentialsRefused }
        if error.isAuthentication { return .credentialsRefused }
        if case .connectionFailed(_, "42501"?) = error { return .noReplicationRight }
        if case .server("53400", _, _, _, _, let command) = error, command.hasPrefix("CREATE_REPLICATION_SLOT") { return .noFreeSlot }
        return nil
    }

    /// How a connection to PostgreSQL is made safe.
    package static let verifiesPostgres = "put sslmode=verify-full and sslrootcert=FILE into source.url"

    /// How a connection to NATS is made safe.
    package static let verifiesNATS = "write tls:// in transport.nats.url; name an authority of your own in transport.nats.tls.ca_file"

    /// A connection that leaves this machine and that others could read or alter.
    /// - Parameter exposure: What the connection lacks.
    package static func connectionOpenToOthers(_ server: String, exposure: String, fix: String) -> Finding {
        Finding(
            .connectionOpenToOthers, server,
            "the connection to \(server) leaves this machine, and others could read or alter the data", why: exposure, fix: fix)
    }
}
