import PostgresReplication

/// The PostgreSQL server.
extension Finding {
    /// `wal_level` under which no logical slot can be made.
    package static func walLevel(_ level: String) -> Finding {
        Finding(
            .walLevel, "wal_level", "PostgreSQL cannot make a logical slot: wal_level is \(level)",
            fix: Steps.text(["Set wal_level = logical in postgresql.conf", "Restart PostgreSQL"]), paste: .restarting("wal_level", "'logical'"))
    }

    /// No slot can be made with the plugin.
    /// - Parameter allowed: As the setting names them.
    package static func pluginForbidden(_ allowed: String) -> Finding {
        // A list: one text with a comma in it would be one name.
        let libraries = CheckedServer.libraries(allowed) + ["pgoutput"]
        return Finding(
            .pluginForbidden, "output_plugin_libraries",
            "PostgreSQL cannot make a slot with the plugin pgoutput: output_plugin_libraries is \(allowed.isEmpty ? "empty" : allowed)",
            fix: "Add pgoutput to output_plugin_libraries", paste: .reloading("output_plugin_libraries", libraries.map(quoteLiteral).joined(separator: ", ")))
    }

    /// All replication slots are taken.
    /// - Parameter idleCount: Those that nobody uses at the moment.
    package static func noFreeSlot(limit: Int, idleCount: String, severity: Severity = .error) -> Finding {
        let raised = max(10, 2 * limit)
        return Finding(
            .noFreeSlot, severity: severity, "max_replication_slots",
            limit == 0
                ? "PostgreSQL allows no replication slot: max_replication_slots is 0"
                : "PostgreSQL has no replication slot left: all \(limit) are in use (max_replication_slots), \(idleCount) of them by nobody at the moment",
            fix: (limit == 0 ? "" : dropsOneSlot + ". Or ")
                + "raise the limit: ALTER SYSTEM SET max_replication_slots = \(raised); then restart PostgreSQL",
            paste: .restarting("max_replication_slots", "\(raised)"))
    }

    /// All walsenders are taken.
    package static func noFreeSender(limit: Int) -> Finding {
        Finding(
            .noFreeSender, "max_wal_senders", "PostgreSQL has no walsender left: all \(limit) are in use (max_wal_senders)",
            why: "the streamer cannot connect for replication", paste: .restarting("max_wal_senders", "\(max(10, 2 * limit))"))
    }

    /// What frees a slot where all are taken.
    static let dropsOneSlot =
        "Drop a slot that nobody needs any more: SELECT slot_name, slot_type, active FROM pg_replication_slots shows them, SELECT pg_drop_replication_slot('NAME') drops one"

    /// A transaction for which PostgreSQL waits before it makes a slot.
    /// - Parameter holder: Whose it is, and the command that ends it.
    package static func waitsForTransaction(_ holder: String) -> Finding {
        Finding(.waitsForTransaction, "slot", "PostgreSQL will not make the slot before this has ended: \(holder)")
    }

    /// A transaction that is open for long.
    /// - Parameter holder: Whose it is.
    /// - Parameter statement: What ends it.
    package static func heldBack(by holder: String, statement: String) -> Finding {
        Finding(
            .waitsForTransaction, holder, "a transaction is open for long: \(holder)",
            why: "the slot holds the WAL since its start, and a new slot is made only after its end",
            paste: .sql(statement, isByHand: true))
    }
}
