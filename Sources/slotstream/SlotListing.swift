import Console
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

    /// A line a slot under a header.
    func table(on screen: Screen) -> String {
        let header = ["SLOT", "DATABASE", "PLUGIN", "STATE", "WAL", "CONFIRMED", "HELD", "ROOM"]
        // What a narrow terminal does without first.
        return screen.table([header] + slots.map(\.row), droppable: [2, 7, 5, 1])
    }
}

extension SlotListing.Slot {
    fileprivate var row: [String] {
        [
            name, database ?? "-", plugin ?? "-", active ? "active" : "idle",
            (walStatus ?? "-") + (invalidationReason.map { " (\($0))" } ?? ""), confirmedLsn ?? "-",
            retainedBytes.map { Amount.bytes($0) } ?? "-", safeBytes.map { Amount.bytes(UInt64(max(0, $0))) } ?? "no limit",
        ]
    }
}
