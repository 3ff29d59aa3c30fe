import Glibc
import History
import PostgresReplication
import Threads

extension CheckedServer {
    private static let settingNames = [
        "wal_level", "max_replication_slots", "max_wal_senders", "max_slot_wal_keep_size", "idle_replication_slot_timeout",
        "synchronized_standby_slots", "data_directory", "output_plugin_libraries",
    ]

    /// Transactions that are named, at most.
    private static let transactionLimit = 10

    /// Asks the server about itself; what this role may not know is left out.
    static func read(slotName: String, over sql: borrowing SQLConnection) throws(PostgresError) -> CheckedServer {
        let rows = try sql.query(
            "SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY ($1::pg_catalog.text[])",
            [CatalogueReader.arrayLiteral(settingNames)])
        var settings: [String: String] = [:]
        for row in rows {
            guard row.count == 2, let name = row[0], let setting = row[1] else { continue }
            settings[name] = setting
        }
        var server = CheckedServer(version: sql.serverVersion, settings: settings, slots: try sql.slots(), slotName: slotName)
        let senders = try sql.allowed { sql throws(PostgresError) in
            try sql.query("SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_get_wal_senders()")
        }
        server.senderCount = senders?.first?.first.flatMap { $0 }.flatMap { Int($0) }
        server.openTransactions = try sql.allowed { sql throws(PostgresError) in try openTransactions(over: sql) } ?? []
        server.spilled = try spilled(slotName, over: sql)
        server.disk = disk(of: settings["data_directory"], on: sql.host)
        return server
    }

    private static func openTransactions(over sql: borrowing SQLConnection) throws(PostgresError) -> [OpenTransaction] {
        let milliseconds = Int(LongTime.transaction.duration / .milliseconds(1))
        let rows = try sql.query(
            """
            SELECT holder, statement FROM (
                SELECT pg_catalog.concat('prepared transaction ', pg_catalog.quote_literal(gid), ' of database ', database),
                    pg_catalog.concat('ROLLBACK PREPARED ', pg_catalog.quote_literal(gid)), prepared
                FROM pg_catalog.pg_prepared_xacts
                UNION ALL SELECT pg_catalog.concat('process ', pid, ' of ', usename, ' in database ', datname),
                    pg_catalog.concat('SELECT pg_terminate_backend(', pid, ')'), xact_start
                FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_catalog.pg_backend_pid()
            ) AS open (holder, statement, since)
            WHERE since < pg_catalog.clock_timestamp() - $1::pg_catalog.interval ORDER BY since LIMIT \(transactionLimit)
            """, ["\(milliseconds) milliseconds"])
        return rows.compactMap { row in
            guard row.count == 2, let holder = row[0], let statement = row[1] else { return nil }
            return OpenTransaction(holder: holder, statement: statement)
        }
    }

    private static func spilled(_ slot: String, over sql: borrowing SQLConnection) throws(PostgresError) -> Spilled? {
        let rows = try sql.query(
            "SELECT spill_txns, spill_bytes, total_bytes FROM pg_catalog.pg_stat_replication_slots WHERE slot_name = $1", [slot])
        guard let row = rows.first, row.count == 3, let count = row[0].flatMap({ Int64($0) }), let bytes = row[1].flatMap({ Int64($0) }),
            let decoded = row[2].flatMap({ Int64($0) })
        else { return nil }
        return Spilled(transactionCount: count, byteCount: bytes, decodedByteCount: decoded)
    }

    /// Of a server on this machine whose folder this process can see.
    private static func disk(of folder: String?, on host: String) -> Disk? {
        guard let folder, host.hasPrefix("/") || host == "localhost" || host == "::1" || host.hasPrefix("127.") else { return nil }
        var status = statvfs()
        guard statvfs("\(folder)/pg_wal", &status) == 0 else { return nil }
        let unit = UInt64(status.f_frsize)
        return Disk(freeByteCount: UInt64(status.f_bavail) * unit, byteCount: UInt64(status.f_blocks) * unit)
    }
}

extension SQLConnection {
    /// Codes of what this role may not ask, what somebody's lock holds up, and what this version does not have.
    private static let refusals: Set<String> = ["42501", "57014", "55P03", "42883", "42P01", "42703"]

    /// What a question comes to; nil where the server refuses the question itself.
    borrowing func allowed<Value>(
        _ ask: (borrowing SQLConnection) throws(PostgresError) -> Value
    ) throws(PostgresError) -> Value? {
        do throws(PostgresError) {
            return try ask(self)
        } catch {
            guard case .server(let sqlState, "ERROR", _, _, _, _) = error, Self.refusals.contains(sqlState) else { throw error }
            return nil
        }
    }
}
