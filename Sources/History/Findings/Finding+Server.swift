/// The PostgreSQL server.
extension Finding {
    /// `wal_level` under which no logical slot can be made.
    package static func walLevel(_ level: String) -> Finding {
        Finding(
            .walLevel, "wal_level", "PostgreSQL cannot make a logical slot: wal_level is \(level)",
            fix: Steps.text(["Set wal_level = logical in postgresql.conf", "Restart PostgreSQL"]))
    }

    /// All replication slots are taken.
    /// - Parameter idleCount: Those that nobody uses at the moment.
    package static func noFreeSlot(limit: Int, idleCount: String) -> Finding {
        Finding(
            .noFreeSlot, "max_replication_slots",
            limit == 0
                ? "PostgreSQL allows no replication slot: max_replication_slots is 0"
                : "PostgreSQL has no replication slot left: all \(limit) are in use (max_replication_slots), \(idleCount) of them by nobody at the moment",
            fix: (limit == 0 ? "" : dropsOneSlot + ". Or ")
                + "raise the limit: ALTER SYSTEM SET max_replication_slots = \(max(10, 2 * limit)); then restart PostgreSQL")
    }

    /// What frees a slot where all are taken.
    static let dropsOneSlot =
        "Drop a slot that nobody needs any more: SELECT slot_name, slot_type, active FROM pg_replication_slots shows them, SELECT pg_drop_replication_slot('NAME') drops one"

    /// A transaction for which PostgreSQL waits before it makes a slot.
    /// - Parameter holder: Whose it is, and the command that ends it.
    package static func waitsForTransaction(_ holder: String) -> Finding {
        Finding(.waitsForTransaction, "slot", "PostgreSQL will not make the slot before this has ended: \(holder)", fix: "")
    }
}
