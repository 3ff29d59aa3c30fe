import PostgresReplication
import Testing
import WAL

@testable import Pipeline

@Suite struct SlotAdministrationTests {
    private static func slot(
        _ name: String, type: String = "logical", plugin: String? = "pgoutput", database: String? = "shop"
    ) -> SlotState {
        SlotState(
            name: name, plugin: plugin, slotType: type, database: database, isTemporary: false, isActive: false,
            activePID: nil, restartLSN: nil, confirmedFlushLSN: nil, walStatus: nil, safeWALByteCount: nil, twoPhase: false,
            failover: nil, synced: nil, conflicting: nil, invalidationReason: nil, currentWALLSN: LSN(1), isInRecovery: false)
    }

    private static func difference(_ slot: SlotState) -> (what: String, remedy: String)? {
        SlotAdministration.difference(slot, "orders", database: "shop")
    }

    @Test func theConfiguredSlotAndItsAnchorAreOurs() {
        #expect(Self.difference(Self.slot("orders")) == nil)
        #expect(Self.difference(Self.slot("orders_anchor")) == nil)
    }

    @Test func whatAnotherProgramMadeIsNamedForWhatItIs() throws {
        let cases: [(SlotState, String)] = [
            (Self.slot("orders", type: "physical", plugin: nil, database: nil), "physical"),
            (Self.slot("orders", plugin: "wal2json"), "wal2json"), (Self.slot("orders", database: "billing"), "billing"),
        ]
        for (slot, word) in cases {
            let (what, remedy) = try #require(Self.difference(slot))
            #expect(what.contains(word))
            #expect(remedy.contains("SELECT pg_drop_replication_slot('orders')"))
        }
    }

    @Test func anotherSlotOfPgoutputMayBeASubscriptions() throws {
        let (what, remedy) = try #require(Self.difference(Self.slot("mysub")))
        #expect(what == "source.slot is orders")
        #expect(remedy.contains("slotstream slot drop mysub --set source.slot=mysub"))
    }
}
