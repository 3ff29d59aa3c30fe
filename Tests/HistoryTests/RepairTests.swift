import Capture
import History
import HistoryFacts
import PostgresReplication
import Testing
import WAL

/// A stream that lost an end of which PostgreSQL was told, and an anchor slot that may reach back to it.
@Suite struct RepairTests {
    private static func anchor(at lsn: LSN) -> SlotState {
        SlotState(name: "s_anchor", database: "shop", restartLSN: LSN(0x100), confirmedFlushLSN: lsn, walStatus: "reserved")
    }

    /// The stream ends with a transaction before the confirmed one.
    private func cut(_ anchor: SlotState?) -> RecoveryFacts {
        let last = StreamTail.Message.event(RecoveryFacts.id(LSN(0xF00), 1), isLast: true)
        return RecoveryFacts(
            stream: RecoveryFacts.tail(last, lastSequence: 98), recordedEnd: RecordedEnd(sequence: 98, message: last), anchor: anchor)
    }

    /// Stream and record were lost together: the slot is ahead of both.
    private func rolledBack(_ anchor: SlotState?) -> RecoveryFacts {
        var slot = RecoveryFacts.stoppedSlot
        slot.confirmedFlushLSN = LSN(0x8000)
        return RecoveryFacts(slot: slot, anchor: anchor)
    }

    @Test func anAnchorThatReachesBackRepairsALostEnd() throws {
        let plan = try #require(cut(Self.anchor(at: LSN(0xE00))).plan)
        #expect(plan.repair == Recovery.Repair(slot: "s_anchor", anchorLSN: LSN(0xE00), endLSN: RecoveryFacts.endLSN))
        #expect(plan.startLSN == LSN(0xF00))
        #expect(plan.known.storedID == RecoveryFacts.id(LSN(0xF00), 1))
        #expect(plan.provenLSN >= LSN(0xE00))
    }

    @Test func anAnchorThatReachesBackRepairsWhatWasLostWithTheRecord() throws {
        let plan = try #require(rolledBack(Self.anchor(at: LSN(0x1000))).plan)
        #expect(plan.repair == Recovery.Repair(slot: "s_anchor", anchorLSN: LSN(0x1000), endLSN: LSN(0x8000)))
        #expect(plan.startLSN == RecoveryFacts.commitLSN)
        // The transaction at the stream's end comes again and proves the history.
        #expect(plan.proof != nil)
    }

    @Test func anAnchorThatDoesNotReachBackRepairsNothing() {
        #expect(cut(Self.anchor(at: LSN(0xF01))).reason == .streamTailLost)
        #expect(rolledBack(Self.anchor(at: LSN(0x1001))).reason == .slotAhead)
        #expect(cut(nil).reason == .streamTailLost)
    }

    @Test func anAnchorThatCannotBeReadRepairsNothing() {
        for change in [
            { (slot: inout SlotState) in slot.walStatus = "lost" }, { $0.database = "other" }, { $0.plugin = "test_decoding" },
            { $0.twoPhase = true }, { $0.confirmedFlushLSN = nil },
        ] {
            var anchor = Self.anchor(at: LSN(0xE00))
            change(&anchor)
            #expect(cut(anchor).reason == .streamTailLost)
        }
    }

    @Test func mendComparesWithWhatTheLiveSlotSends() {
        var facts = rolledBack(Self.anchor(at: LSN(0x1000)))
        facts.isMending = true
        #expect(facts.reason == .slotAhead)
    }

    @Test func aWholeStreamIsNotRepaired() {
        #expect(RecoveryFacts(anchor: Self.anchor(at: LSN(0xE00))).plan?.repair == nil)
    }

    @Test func aRepairIsBelievedOnlyAsALossWouldBe() throws {
        #expect(cut(Self.anchor(at: LSN(0xE00))).outcome.whatTimeConfirms != nil)
        #expect(RecoveryFacts().outcome.whatTimeConfirms == nil)
    }
}
