import PostgresReplication

/// Which database of which server answers, and of which history: what reads rows has to be on the one whose WAL is streamed. No other knows which transactions a snapshot shows of those
/// that are decoded; and a copy has the same tables, down to their numbers.
struct ServerMark: Equatable, Sendable {
    private static let recovery = "in recovery"

    /// One text: when the server was started, its timeline, and the database. The system identifier takes a right that may be revoked, and tells no more: no two servers were started within
    /// one microsecond.
    static let expression = """
        CASE WHEN pg_catalog.pg_is_in_recovery() THEN '\(recovery)' ELSE
            pg_catalog.concat_ws(' ', pg_catalog.pg_postmaster_start_time(),
                pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8),
                (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())) END
        """

    var text: String

    static func read(over sql: borrowing SQLConnection) throws(PostgresError) -> ServerMark {
        guard let text = try sql.query("SELECT \(expression)").first?.first.flatMap({ $0 }) else {
            throw .protocolViolation(message: "cannot read which server answers")
        }
        return ServerMark(text: text)
    }

    /// Why rows that are read where this is the mark are not those of the stream; nil: they are.
    func refusal(streaming streamed: ServerMark) -> String? {
        if self == streamed { return nil }
        return text == Self.recovery
            ? "backfill.url reaches a server in recovery: rows are read only from the server that is streamed"
            : "backfill.url reaches another server or database than source.url, or the server was restarted"
    }
}
