import Capture
import History
import HistoryFacts
import PostgresReplication
import Testing
import WAL

/// Where a stream goes on over lost history, from what both servers say.
struct GapPlanTests {
    /// Where the slot stands unless a test says otherwise: beyond everything that is known.
    private static let slotLSN = LSN(0x5000)

    private func plan(
        _ facts: RecoveryFacts, slotAt slotLSN: LSN = Self.slotLSN, lastPresent: MessageID? = RecoveryFacts.id()
    ) -> GapPlan {
        GapPlan(facts.facts, slotLSN: slotLSN, lastPresent: lastPresent)
    }

    private static func slotID(_ lsn: LSN = slotLSN) -> MessageID { RecoveryFacts.id(lsn, 0, xid: 0) }

    @Test func behindAGapTheStreamGoesOnWhereTheSlotStands() {
        let plan = plan(RecoveryFacts())
        #expect(plan.position == Self.slotID())
        #expect(plan.fromLSN == RecoveryFacts.endLSN)
        #expect(plan.toLSN == Self.slotLSN)
    }

    @Test func aSlotBehindItsStreamSendsNothingAgainThatIsStored() {
        let plan = plan(RecoveryFacts(record: nil), slotAt: LSN(0x900))
        #expect(plan.position == RecoveryFacts.id())
        #expect(plan.fromLSN == RecoveryFacts.commitLSN)
        #expect(plan.toLSN == plan.fromLSN, "nothing is missing")
    }

    @Test func whatTheRecordKnowsToBeStoredIsNotSentAgainThoughItWasDeleted() {
        var facts = RecoveryFacts(stream: RecoveryFacts.tail(.gone, lastSequence: 100))
        facts.record = RecoveryFacts.record(confirmed: LSN(0x900))
        #expect(plan(facts, slotAt: LSN(0x900), lastPresent: nil).position == RecoveryFacts.id())
    }

    @Test func onceTheTailIsLostTheRecordIsNoProof() {
        let present = RecoveryFacts.id(LSN(0x700), 1)
        var facts = RecoveryFacts(stream: RecoveryFacts.tail(.event(present, isLast: true), lastSequence: 40))
        facts.record = RecoveryFacts.record(confirmed: LSN(0x4000))
        let plan = plan(facts, slotAt: LSN(0x800), lastPresent: present)
        #expect(plan.position == Self.slotID(LSN(0x800)), "what the slot still sends is stored again")
        #expect(plan.fromLSN == LSN(0x700))
        #expect(plan.toLSN == LSN(0x800))
    }

    @Test func aStreamThatWasMadeAnewIsWholeOnlyUpToWhereTheSlotBegan() {
        var facts = RecoveryFacts(stream: RecoveryFacts.tail(.never, lastSequence: 0, created: "2026-11-24T07:00:00Z"))
        #expect(plan(facts, lastPresent: nil) == GapPlan(facts.facts, slotLSN: Self.slotLSN, lastPresent: nil))
        #expect(plan(facts, lastPresent: nil).fromLSN == LSN(0x800))
        #expect(plan(facts, lastPresent: nil).position == Self.slotID())
        facts.stream = nil
        #expect(plan(facts, lastPresent: nil).fromLSN == LSN(0x800))
        facts.record = nil
        #expect(plan(facts, lastPresent: nil).fromLSN == .invalid, "nobody knows")
    }

    @Test func aStreamThatIsLostBehindAnAcceptedGapIsMissingFromItsBeginning() {
        var facts = RecoveryFacts(stream: nil)
        facts.record?.genesis = CheckpointRecord.Genesis(
            kind: CheckpointRecord.gapKind, lsn: "0/3000", at: "", firstLsn: "0/800")
        #expect(plan(facts, lastPresent: nil).fromLSN == LSN(0x800))
        #expect(plan(facts, lastPresent: nil).firstLSN == LSN(0x800), "and behind the next gap too")
        facts.record?.genesis.firstLsn = nil
        #expect(plan(facts, lastPresent: nil).fromLSN == .invalid, "a record of before this was kept: nobody knows")
        #expect(plan(RecoveryFacts()).firstLSN == LSN(0x800))
        #expect(plan(RecoveryFacts(record: nil)).firstLSN == .invalid)
    }

    @Test func aMarkerIsOfTheTimelineOnWhichTheSlotStands() throws {
        var facts = RecoveryFacts()
        facts.timelines = try #require(TimelineHistory(currentTimeline: 2, text: "1\t0/2000\tpromoted"))
        #expect(plan(facts).position.timeline == 2)
        #expect(plan(facts, slotAt: LSN(0x1800)).position.timeline == 1)
    }

    // MARK: - What is refused whatever is missing

    private func reason(_ facts: RecoveryFacts, _ last: LastPresent) -> StopReason? {
        guard case .refuse(let reason, _, _, _)? = GapPlan.refusal(facts.facts, lastPresent: last) else { return nil }
        return reason
    }

    private static let present = LastPresent.event(RecoveryFacts.id(), sequence: 100)

    @Test func anotherWritersMessageIsRefused() {
        let facts = RecoveryFacts(slot: nil)
        #expect(reason(facts, Self.present) == nil)
        #expect(reason(facts, .none) == nil)
        #expect(reason(facts, .another(RecoveryFacts.id(database: 6), sequence: 100)) == .foreignMessage)
    }

    @Test func anotherServersSlotsOrHistorysStreamIsRefused() {
        var facts = RecoveryFacts(slot: nil)
        facts.record?.systemId = "8"
        #expect(reason(facts, Self.present) == .otherCluster)
        facts = RecoveryFacts(slot: nil)
        facts.record?.slot = "t"
        #expect(reason(facts, Self.present) == .configuration)
        facts = RecoveryFacts(slot: nil)
        facts.record?.timeline = 7
        #expect(reason(facts, Self.present) == .historyDiverged)
        facts = RecoveryFacts(serverFlushLSN: LSN(0x1010), slot: nil)
        #expect(reason(facts, Self.present) == .positionAheadOfWAL)
        facts = RecoveryFacts(serverFlushLSN: LSN(0x800), slot: nil, record: nil)
        #expect(reason(facts, Self.present) == .positionAheadOfWAL)
        // Only the record knows of it: its message was deleted.
        facts = RecoveryFacts(slot: nil)
        facts.record?.lastId = RecoveryFacts.id(LSN(0xA000)).description
        #expect(reason(facts, Self.present) == .positionAheadOfWAL)
    }
}
