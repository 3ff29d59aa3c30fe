import History
import Pipeline
import PostgresReplication
import WAL

/// `slot list` as JSON and as lines.
struct SlotListing: Encodable {
    struct Slot: Encodable {
        var name: String
        var plugin: String?
        var database: String?
        var active: Bool
        var walStatus: String?
        var restartLsn: String?
        var confirmedLsn: String?
        var retainedBytes: UInt64?
        var safeBytes: Int64?
        var failover: Bool?
        var invalidationReason: String?

        var line: String {
            [
                name, plugin, database, active ? "active" : "idle", walStatus, confirmedLsn.map { "confirmed \($0)" },
                retainedBytes.map { "retains \($0) bytes" }, invalidationReason,
            ].compactMap { $0 }.joined(separator: "  ")
        }
    }

    let schema = "slotstream.slot/1"
    let slots: [Slot]

    init(_ states: [SlotState]) {
        slots = states.map {
            Slot(
                name: $0.name, plugin: $0.plugin, database: $0.database, active: $0.isActive, walStatus: $0.walStatus,
                restartLsn: $0.restartLSN?.description, confirmedLsn: $0.confirmedFlushLSN?.description,
                retainedBytes: $0.retainedByteCount, safeBytes: $0.safeWALByteCount, failover: $0.failover,
                invalidationReason: $0.invalidationReason)
        }
    }

    func json() -> String { ContractJSON.text(self) }
}
