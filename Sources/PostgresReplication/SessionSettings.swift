/// What every session of ours sets, so that a value has one text, and a statement its time, whatever the role, the database or the host is set to.
///
/// Set after connecting, not in libpq's `options`: those stay the user's own, wherever they come from (connection string, service file,
/// `PGOPTIONS`), and what is set last holds. What only writes the same value in another way is pinned. `lc_monetary` is not: it decides what a
/// `money` is worth, and that is the database's to say (`moneyCommand`).
enum SessionSettings {
    /// Limits on time, which a role or a database may carry; each of them may end a session that waits, decodes or replays as it should.
    ///
    /// The one that ends the session comes first: it may be shorter than what follows.
    private static let limits: [(name: String, version: Int)] = [
        ("transaction_timeout", 170_000), ("statement_timeout", 0), ("lock_timeout", 0),
        ("idle_in_transaction_session_timeout", 0), ("idle_session_timeout", 140_000),
        // The kernel counts it too while we leave the socket unread.
        ("tcp_user_timeout", 0),
    ]

    private static let pinned: [(name: String, value: String)] = [
        // What values are written as.
        ("client_encoding", "UTF8"),
        ("TimeZone", "UTC"),
        ("DateStyle", "ISO"),
        ("IntervalStyle", "postgres"),
        // 1 and more mean the shortest text that reads back as the same number.
        ("extra_float_digits", "3"),
        ("bytea_output", "hex"),
        ("quote_all_identifiers", "off"),
        // How the ordinary session reads what the walsender wrote, and our own statements.
        ("array_nulls", "on"),
        ("xmloption", "content"),
        ("standard_conforming_strings", "on"),
        ("transform_null_equals", "off"),
        // In what our statements run. A publication that waits for a standby would wait for one that is down.
        ("default_transaction_read_only", "off"),
        ("default_transaction_isolation", "read committed"),
        ("default_transaction_deferrable", "off"),
        ("synchronous_commit", "local"),
        ("jit", "off"),
        // An error that is foreseen must not cost the session.
        ("exit_on_error", "off"),
        // Warnings are heard, and no more than those.
        ("client_min_messages", "notice"),
    ]

    /// One SELECT that sets what an ordinary session of ours may do: so long a statement, no policy of a table's owner, and, where it
    /// only reads, no writing.
    static func ordinaryCommand(timeout: Duration, isReadOnly: Bool) -> String {
        let milliseconds = max(1, timeout.components.seconds * 1000 + timeout.components.attoseconds / 1_000_000_000_000_000)
        return "SELECT pg_catalog.set_config('statement_timeout', '\(milliseconds)', false),"
            + " pg_catalog.set_config('row_security', 'off', false),"
            + " pg_catalog.set_config('default_transaction_read_only', '\(isReadOnly ? "on" : "off")', false)"
    }

    /// Statements that set them all: one round trip.
    static func command(serverVersion: Int, walSenderTimeoutMilliseconds: Int?) -> String {
        let limits = limits.filter { serverVersion >= $0.version }.map { "SET \($0.name) = 0; " }.joined()
        var settings = pinned
        if let walSenderTimeoutMilliseconds {
            settings.append(("wal_sender_timeout", String(walSenderTimeoutMilliseconds)))
        }
        let calls = settings.map { setting in
            "pg_catalog.set_config(\(quoteLiteral(setting.name)), \(quoteLiteral(setting.value)), false)"
        }
        return limits + "SELECT " + calls.joined(separator: ", ")
    }

    /// Takes pg_catalog out of the path: where it is named behind others, their operators go before its own in our statements; unnamed it comes first.
    ///
    /// The rest stays, for the users' functions, and for what a regclass is called. Without backslashes: their meaning depends on a setting.
    static let pathCommand = """
        SELECT pg_catalog.set_config('search_path', pg_catalog.regexp_replace(pg_catalog.regexp_replace(
            pg_catalog.current_setting('search_path'), '(^|,) *"?pg_catalog"? *(?=,|$)', '', 'g'), '^ *, *', ''), false)
        """

    /// Gives the session the database's `lc_monetary` where it has the role's instead; does nothing where the database has none of its own.
    static let moneyCommand = """
        SELECT pg_catalog.set_config('lc_monetary', pg_catalog.substr(s.setting, 13), false)
        FROM pg_catalog.pg_db_role_setting d, pg_catalog.unnest(d.setconfig) AS s(setting)
        WHERE d.setrole OPERATOR(pg_catalog.=) '0'::pg_catalog.oid AND pg_catalog.starts_with(s.setting, 'lc_monetary=')
            AND d.setdatabase OPERATOR(pg_catalog.=)
                (SELECT oid FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
        """

    /// Sets all of it on a connection that was just made.
    static func pin(
        _ connection: borrowing LibPQConnection, walSenderTimeoutMilliseconds: Int?, deadline: Deadline
    ) throws(PostgresError) {
        _ = try connection.rows(
            command(serverVersion: connection.serverVersion, walSenderTimeoutMilliseconds: walSenderTimeoutMilliseconds),
            deadline: deadline)
        // Each by itself: a locale that the host lacks, or a path that cannot be cut so, is refused, and must not cost the session.
        for command in [pathCommand, moneyCommand] {
            do throws(PostgresError) {
                _ = try connection.rows(command, deadline: deadline)
            } catch {
                guard case .server = error, !connection.isBroken else { throw error }
            }
        }
    }
}
