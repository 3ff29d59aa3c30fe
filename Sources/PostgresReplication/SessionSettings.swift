/// What every session of ours sets, so that a value has one text whatever the role, the database or the host is set to.
///
/// Set after connecting, by `set_config`, not in libpq's `options`: those stay the user's own, wherever they come from
/// (connection string, service file, `PGOPTIONS`), and what is set last holds.
enum SessionSettings {
    private static let pinned: [(name: String, value: String)] = [
        ("client_encoding", "UTF8"),
        ("TimeZone", "UTC"),
        ("DateStyle", "ISO"),
        ("IntervalStyle", "postgres"),
        // 1 and more mean the shortest text that reads back as the same number.
        ("extra_float_digits", "3"),
        ("bytea_output", "hex"),
        ("lc_monetary", "C"),
    ]

    /// One SELECT that sets them all.
    static func command(serverVersion: Int, walSenderTimeoutMilliseconds: Int?) -> String {
        var settings = pinned
        if serverVersion >= 140_000 {
            // A session of ours may wait for hours; a role's limit on idle sessions must not end it.
            settings.append(("idle_session_timeout", "0"))
        }
        if let walSenderTimeoutMilliseconds {
            settings.append(("wal_sender_timeout", String(walSenderTimeoutMilliseconds)))
        }
        let calls = settings.map { setting in
            "pg_catalog.set_config(\(quoteLiteral(setting.name)), \(quoteLiteral(setting.value)), false)"
        }
        return "SELECT " + calls.joined(separator: ", ")
    }
}
