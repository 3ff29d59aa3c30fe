public import WAL

extension SQLConnection {
    /// The slot `name`, of whatever database and plugin; nil if the server has none.
    public func slot(named name: String, timeout: Duration? = nil) throws(PostgresError) -> SlotState? {
        try slots(where: "slot_name = $1", [name], timeout: timeout).first
    }

    /// All slots of the server, by name.
    public func slots() throws(PostgresError) -> [SlotState] {
        try slots(where: "true", [], timeout: nil)
    }

    /// Whose connection the server's process `pid` serves; nil where it has gone, or may not be seen.
    public func client(ofBackend pid: Int32) throws(PostgresError) -> BackendClient? {
        let rows = try query(
            """
            SELECT application_name, usename, pg_catalog.host(client_addr), client_port,
                pg_catalog.to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
            FROM pg_catalog.pg_stat_activity WHERE pid = $1::pg_catalog.int4 AND backend_start IS NOT NULL
            """, ["\(pid)"])
        guard let row = rows.first, row.count == 5, let role = row[1], let since = row[4] else { return nil }
        return BackendClient(
            application: row[0].flatMap { $0.isEmpty ? nil : $0 }, role: role, address: row[2],
            port: row[3].flatMap { UInt16($0) }, since: since)
    }

    /// Moves an inactive slot's confirmed position forward; the server reads the WAL in between.
    ///
    /// - Parameter lsn: Beyond the server's WAL it means its end.
    /// - Returns: Where the slot is now.
    /// - Throws: `PostgresError.server` 55006 (active), 42704 (none), 55000 (`lsn` lies before where the slot
    ///   is, or the slot was invalidated).
    public func advanceSlot(_ name: String, to lsn: LSN, timeout: Duration? = nil) throws(PostgresError) -> LSN {
        let sql = "SELECT end_lsn FROM pg_catalog.pg_replication_slot_advance($1, $2::pg_catalog.pg_lsn)"
        guard let end = try query(sql, [name, lsn.description], timeout: timeout).first?.first?.flatMap({ LSN($0) })
        else {
            throw .protocolViolation(message: "cannot read the answer to: " + sql)
        }
        return end
    }

    /// Drops an inactive slot.
    /// - Throws: `PostgresError.server` 55006 (active), 42704 (none).
    public func dropSlot(_ name: String) throws(PostgresError) {
        _ = try query("SELECT pg_catalog.pg_drop_replication_slot($1)", [name])
    }

    private func slots(
        where condition: String, _ parameters: [String?], timeout: Duration?
    ) throws(PostgresError) -> [SlotState] {
        func column(_ name: String, since version: Int) -> String {
            serverVersion >= version ? name : "NULL"
        }
        let sql = """
            SELECT slot_name, plugin, slot_type, database, temporary, active, active_pid, restart_lsn, confirmed_flush_lsn, \
            \(column("wal_status", since: 130_000)), \(column("safe_wal_size", since: 130_000)), \
            \(column("two_phase", since: 140_000)), \(column("failover", since: 170_000)), \
            \(column("synced", since: 170_000)), \(column("conflicting", since: 160_000)), \
            \(column("invalidation_reason", since: 170_000)), \(Self.currentWALLSNExpression), \
            pg_catalog.pg_is_in_recovery() \
            FROM pg_catalog.pg_replication_slots WHERE \(condition) ORDER BY slot_name
            """
        var slots: [SlotState] = []
        for row in try query(sql, parameters, timeout: timeout) {
            guard row.count == 18, let name = row[0], let slotType = row[2],
                let currentWALLSN = row[16].flatMap({ LSN($0) })
            else { throw .protocolViolation(message: "cannot read a row of pg_replication_slots") }
            func boolean(_ index: Int) -> Bool? { row[index].map { $0 == "t" } }
            func lsn(_ index: Int) -> LSN? { row[index].flatMap { LSN($0) } }
            slots.append(
                SlotState(
                    name: name, plugin: row[1], slotType: slotType, database: row[3],
                    isTemporary: boolean(4) ?? false, isActive: boolean(5) ?? false,
                    activePID: row[6].flatMap { Int32($0) }, restartLSN: lsn(7), confirmedFlushLSN: lsn(8),
                    walStatus: row[9], safeWALByteCount: row[10].flatMap { Int64($0) },
                    twoPhase: boolean(11) ?? false, failover: boolean(12), synced: boolean(13),
                    conflicting: boolean(14), invalidationReason: row[15], currentWALLSN: currentWALLSN,
                    isInRecovery: boolean(17) ?? false))
        }
        return slots
    }
}
