import History
import HistoryFacts
import PostgresReplication
import Testing
import WAL

@testable import Pipeline

@Suite struct HeldSlotTests {
    @Test func aSlotThatStandsWhereItWasReadIsHeld() throws {
        let facts = RecoveryFacts()
        let held = try HeldSlot(RecoveryFacts.stoppedSlot, try #require(facts.plan), facts.facts)
        #expect(held.confirmedLSN == RecoveryFacts.endLSN)
    }

    /// What the server has to prove depends on where the slot stood, so another position is another recovery.
    @Test(arguments: [LSN(0xF00), LSN(0x103F), LSN(0x1041), LSN(0x2000)])
    func aSlotThatWasMovedSinceItWasReadIsReadAgain(_ position: LSN) throws {
        let facts = RecoveryFacts()
        let plan = try #require(facts.plan)
        var slot = RecoveryFacts.stoppedSlot
        slot.confirmedFlushLSN = position
        #expect { try HeldSlot(slot, plan, facts.facts) } throws: { error in
            if case StreamerError.checkpointConflict = error { true } else { false }
        }
    }

    @Test func aSlotThatIsGoneIsNotHeld() throws {
        let facts = RecoveryFacts()
        let plan = try #require(facts.plan)
        #expect(throws: StreamerError.self) { try HeldSlot(nil, plan, facts.facts) }
    }
}
