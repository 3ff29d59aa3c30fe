import Capture
import History
import HistoryFacts
import PostgresReplication
import SeededRandom
import Testing
import WAL

@Suite struct RecoveryTests {
    // MARK: - What is there

    @Test(arguments: [
        nil, RecoveryFacts.tail(.never, lastSequence: 0, messageCount: 0),
        // Made with `first_seq`.
        RecoveryFacts.tail(.never, lastSequence: 999, messageCount: 0),
    ])
    func withNeitherSlotNorRecordAndNothingStoredItIsAFirstStart(_ stream: StreamTail?) {
        let facts = RecoveryFacts(slot: nil, record: nil, stream: stream)
        #expect(facts.outcome == .firstStart)
    }

    @Test(arguments: [
        RecoveryFacts.tail(.event(RecoveryFacts.id(), isLast: true)), RecoveryFacts.tail(.gone),
        RecoveryFacts.tail(.foreign(subject: "x")),
    ])
    func aStreamWithEventsOfOursAndNeitherSlotNorRecordIsLostHistory(_ stream: StreamTail) {
        let facts = RecoveryFacts(slot: nil, record: nil, stream: stream, unrecorded: .event(RecoveryFacts.id(), sequence: 100))
        #expect(facts.reason == .slotMissing)
        #expect(!Recovery.mayBeginAfterForeign(facts.facts))
    }

    @Test(arguments: [RecoveryFacts.tail(.gone), RecoveryFacts.tail(.foreign(subject: "x"))])
    func aStreamThatOnlyOthersWroteToIsNoLostHistoryAndMayBeBegunBehind(_ stream: StreamTail) {
        let facts = RecoveryFacts(slot: nil, record: nil, stream: stream)
        #expect(facts.reason == .foreignMessage)
        #expect(facts.what?.contains("100 messages of another writer") == true)
        #expect(Recovery.mayBeginAfterForeign(facts.facts))
    }

    @Test func aStreamOfAnotherSlotstreamIsForeignAndIsNotBegunBehind() {
        let other = RecoveryFacts.id(database: 6)
        let facts = RecoveryFacts(
            slot: nil, record: nil, stream: RecoveryFacts.tail(.event(other, isLast: true)),
            unrecorded: .another(other, sequence: 100))
        #expect(facts.reason == .foreignMessage)
        #expect(!Recovery.mayBeginAfterForeign(facts.facts))
    }

    @Test func anEmptiedStreamMayHaveBeenOursAndMayBeBegunBehind() {
        let facts = RecoveryFacts(slot: nil, record: nil, stream: RecoveryFacts.tail(.gone, messageCount: 0))
        #expect(facts.reason == .slotMissing)
        #expect(facts.what?.contains("the writer of these messages is not known") == true)
        #expect(Recovery.mayBeginAfterForeign(facts.facts))
    }

    @Test func aClaimThatBeginsBehindOthersGoesOnUntilTheyWriteMore() {
        var claim = RecoveryFacts.record(
            confirmed: .invalid, lastID: nil, lastSequence: 0, kind: CheckpointRecord.claimKind)
        claim.settledSequence = 100
        var facts = RecoveryFacts(slot: nil, record: claim, stream: RecoveryFacts.tail(.foreign(subject: "x")))
        #expect(facts.outcome == .firstStart)
        facts.stream = RecoveryFacts.tail(.foreign(subject: "x"), lastSequence: 101)
        #expect(facts.reason == .foreignMessage)
        facts.stream = RecoveryFacts.tail(.foreign(subject: "x"), created: "2026-11-24T07:00:00Z")
        #expect(facts.reason == .foreignMessage, "another stream of that name")
    }

    @Test func aStreamThatWasBegunBehindOthersIsStreamedFromBehindThem() {
        var record = RecoveryFacts.record(lastID: nil, lastSequence: 0)
        record.settledSequence = 100
        let facts = RecoveryFacts(record: record, stream: RecoveryFacts.tail(.foreign(subject: "x")), recordedEnd: nil)
        #expect(facts.plan?.known.settledSequence == 100)
        #expect(facts.plan?.known.storedID == nil)
    }

    @Test func aClaimWithOrWithoutItsSlotIsAnInterruptedSetup() {
        let claim = RecoveryFacts.record(
            confirmed: .invalid, lastID: nil, lastSequence: 0, kind: CheckpointRecord.claimKind)
        var facts = RecoveryFacts(record: claim, stream: RecoveryFacts.tail(.never, lastSequence: 0))
        #expect(facts.outcome == .firstStart)
        facts.slot = nil
        #expect(facts.outcome == .firstStart)
    }

    @Test func aClaimForAnotherSlotOrSystemTakesNoSlotThatExists() {
        var claim = RecoveryFacts.record(
            confirmed: .invalid, lastID: nil, lastSequence: 0, kind: CheckpointRecord.claimKind)
        claim.slot = "another"
        var facts = RecoveryFacts(record: claim, stream: RecoveryFacts.tail(.never, lastSequence: 0))
        #expect(facts.reason == .configuration)
        // Where no slot is in the way, it is made.
        facts.slot = nil
        #expect(facts.outcome == .firstStart)
        claim.slot = "s"
        claim.systemId = "8"
        #expect(RecoveryFacts(record: claim, stream: RecoveryFacts.tail(.never, lastSequence: 0)).reason == .configuration)
    }

    @Test func aRecordWithoutItsSlotIsLostHistory() {
        #expect(RecoveryFacts(slot: nil).reason == .slotMissing)
    }

    @Test func aSlotWithoutARecordIsLostHistoryOnceItIsReadAgain() {
        let facts = RecoveryFacts(record: nil)
        #expect(facts.reason == .bucketMissing)
        #expect(facts.isConfirmedByTime == true)
    }

    @Test func aSlotWithoutARecordThatCouldNotBeStreamedAnywayIsNoLostHistory() throws {
        var slot = try #require(RecoveryFacts().slot)
        slot.twoPhase = true
        #expect(RecoveryFacts(slot: slot, record: nil).reason == .slotTwoPhase)
        slot.plugin = "test_decoding"
        #expect(RecoveryFacts(slot: slot, record: nil).reason == .configuration)
    }

    @Test func aStreamThatIsGoneIsLostHistoryOnceItIsReadAgain() {
        let facts = RecoveryFacts(stream: nil)
        #expect(facts.reason == .streamMissing)
        #expect(facts.isConfirmedByTime == true)
    }

    // MARK: - The slot

    @Test func aSlotThatCannotBeStreamedIsRefusedByItsOwnReason() throws {
        func reason(_ change: (inout SlotState) -> Void) throws -> StopReason? {
            var slot = try #require(RecoveryFacts().slot)
            change(&slot)
            return RecoveryFacts(slot: slot).reason
        }
        #expect(try reason { $0.plugin = "test_decoding" } == .configuration)
        #expect(
            try reason {
                $0.slotType = "physical"
                $0.plugin = nil
            } == .configuration)
        #expect(try reason { $0.database = "other" } == .configuration)
        #expect(try reason { $0.twoPhase = true } == .slotTwoPhase)
        #expect(try reason { $0.walStatus = "lost" } == .slotInvalidated)
        #expect(try reason { $0.invalidationReason = "idle_timeout" } == .slotInvalidated)
        #expect(try reason { $0.conflicting = true } == .slotInvalidated)
        #expect(try reason { $0.confirmedFlushLSN = nil } == .slotUnconfirmed)
        #expect(try reason { $0.walStatus = "extended" } == nil)
    }

    // MARK: - The server

    @Test func aRecordOfAnotherClusterSlotTimelineOrFutureIsRefused() throws {
        func reason(_ change: (inout CheckpointRecord) -> Void) throws -> StopReason? {
            var record = try #require(RecoveryFacts().record)
            change(&record)
            return RecoveryFacts(record: record).reason
        }
        #expect(try reason { $0.systemId = "8" } == .otherCluster)
        // Another server has no slot of the name either: a new one there would not be a way on.
        var ofAnother = RecoveryFacts.record()
        ofAnother.systemId = "8"
        #expect(RecoveryFacts(slot: nil, record: ofAnother).reason == .otherCluster)
        #expect(try reason { $0.slot = "t" } == .configuration)
        #expect(try reason { $0.timeline = 2 } == .historyDiverged)
        #expect(try reason { $0.confirmedLsn = "0/9001" } == .positionAheadOfWAL)
    }

    @Test func aLastEventOfAnotherTimelineOrBeyondTheSwitchPointIsAnotherHistory() throws {
        let promoted = try #require(TimelineHistory(currentTimeline: 2, text: "1\t0/1000\tpromoted"))
        #expect(RecoveryFacts(timelines: promoted).reason == .historyDiverged)
        var facts = RecoveryFacts()
        facts.record(last: RecoveryFacts.id(timeline: 3))
        #expect(facts.reason == .historyDiverged)
        // Also of what stands behind the proven message, unless `mend` judges it.
        facts = RecoveryFacts(
            stream: RecoveryFacts.tail(.event(RecoveryFacts.id(LSN(0x1100), timeline: 3), isLast: true), lastSequence: 101))
        #expect(facts.reason == .historyDiverged)
        facts.isMending = true
        #expect(facts.plan != nil)
        let later = try #require(TimelineHistory(currentTimeline: 2, text: "1\t0/1040\tpromoted"))
        facts = RecoveryFacts(timelines: later)
        #expect(facts.plan?.startLSN == RecoveryFacts.commitLSN)
    }

    @Test func aMessageThatIsTheLastBeforeAPromotionIsOfTheServersHistory() throws {
        // Its LSN is where its record ends, and there the timeline ended.
        let promoted = try #require(TimelineHistory(currentTimeline: 2, text: "1\t0/1000\tpromoted"))
        var facts = RecoveryFacts(timelines: promoted)
        facts.slot?.confirmedFlushLSN = LSN(0x1000)
        facts.record(last: RecoveryFacts.id(LSN(0x1000), 0, xid: 0))
        #expect(facts.plan != nil)
        facts.record(last: RecoveryFacts.id(LSN(0x1001), 0, xid: 0))
        #expect(facts.reason == .historyDiverged)
    }

    @Test func aLastEventBeyondTheServersWALIsRefused() {
        let last = RecoveryFacts.id(LSN(0x9001))
        let facts = RecoveryFacts(stream: RecoveryFacts.tail(.event(last, isLast: true), lastSequence: 101))
        #expect(facts.reason == .positionAheadOfWAL)
    }

    @Test func whatAKeepaliveConfirmedOnTheOldTimelineIsNotProvenOnTheNew() throws {
        // The record is at 0/5000 by keepalives; the server was promoted at 0/2000 and has written its own WAL since.
        let promoted = try #require(TimelineHistory(currentTimeline: 2, text: "1\t0/2000\tpromoted"))
        let facts = RecoveryFacts(timelines: promoted, record: RecoveryFacts.record(confirmed: LSN(0x5000)))
        let plan = try #require(facts.plan)
        #expect(plan.provenLSN == LSN(0x2000))
        #expect(plan.startLSN == RecoveryFacts.commitLSN)
        // Nor is the record ahead of a server whose WAL has not reached it again.
        #expect(RecoveryFacts(timelines: promoted, serverFlushLSN: LSN(0x2500), record: facts.record).plan != nil)
        // A slot beyond the promotion was moved by somebody else.
        var slot = try #require(facts.slot)
        slot.confirmedFlushLSN = LSN(0x2001)
        #expect(RecoveryFacts(timelines: promoted, slot: slot, record: facts.record).reason == .slotAhead)
    }

    // MARK: - The stream

    @Test func aStreamThatWasCreatedAnewIsRefused() {
        let tail = RecoveryFacts.tail(.never, lastSequence: 0, created: "2026-11-24T00:00:00Z")
        #expect(RecoveryFacts(stream: tail).reason == .streamRecreated)
    }

    @Test func aMessageThatIsNotOursBehindTheProvenOneIsComparedAndRefusesNothing() {
        for stray in [StreamTail.Message.foreign(subject: "x"), .event(RecoveryFacts.id(database: 6), isLast: true)] {
            let facts = RecoveryFacts(stream: RecoveryFacts.tail(stray, lastSequence: 101))
            #expect(facts.plan?.known == RecoveryFacts.record().knownEnd)
        }
    }

    @Test func anotherMessageInTheProvenOnesPlaceMeansThatTheTailWasLost() {
        let others: [StreamTail.Message] = [
            .foreign(subject: "x"), .event(RecoveryFacts.id(database: 6), isLast: true),
            .event(RecoveryFacts.id(LSN(0xF00)), isLast: true), .event(RecoveryFacts.id(LSN(0x1100)), isLast: true),
        ]
        for other in others {
            let facts = RecoveryFacts(
                stream: RecoveryFacts.tail(other, lastSequence: 105),
                recordedEnd: RecordedEnd(sequence: 100, message: other))
            #expect(facts.reason == .streamTailLost)
            #expect(facts.isConfirmedByTime == true)
        }
    }

    private static func gone(_ lastSequence: UInt64, _ message: StreamTail.Message = .gone) -> RecoveryFacts {
        RecoveryFacts(
            stream: RecoveryFacts.tail(message, lastSequence: lastSequence),
            recordedEnd: RecordedEnd(sequence: min(100, lastSequence), message: .gone))
    }

    @Test func aGoneMessageIsKnownOnlyIfTheRecordHasItsSequence() {
        #expect(Self.gone(100).plan?.known.storedID == RecoveryFacts.id())
        #expect(Self.gone(101).reason == .streamPurged)
        #expect(Self.gone(99).reason == .streamTailLost)
        #expect(Self.gone(0, .never).reason == .streamTailLost)
        // Strays that were compared are gone, and nothing else.
        var facts = Self.gone(101)
        facts.record?.settledSequence = 101
        #expect(facts.plan?.known.settledSequence == 101)
    }

    @Test func everyLossThatAStaleAnswerCouldFeignIsReadAgain() {
        let ahead = RecoveryFacts.record(confirmed: LSN(0x103F))
        for facts in [Self.gone(101), Self.gone(99), RecoveryFacts(record: ahead)] {
            #expect(facts.isConfirmedByTime == true, "\(facts.outcome)")
        }
    }

    @Test func aLostTailBeyondWhatTheSlotStillHasIsRefused() {
        // The stream ends two messages early, with a transaction before the one that was confirmed.
        let last = StreamTail.Message.event(RecoveryFacts.id(LSN(0xF00), 1), isLast: true)
        let facts = RecoveryFacts(
            stream: RecoveryFacts.tail(last, lastSequence: 98), recordedEnd: RecordedEnd(sequence: 98, message: last))
        #expect(facts.reason == .streamTailLost)
        #expect(facts.isConfirmedByTime == true)
    }

    @Test func aLostTailThatTheSlotStillHasIsSentAgainAndNotProvenBefore() throws {
        let last = RecoveryFacts.id(LSN(0xF00), 1, xid: 69)
        var slot = try #require(RecoveryFacts().slot)
        slot.confirmedFlushLSN = LSN(0xF00)
        let facts = RecoveryFacts(
            slot: slot, stream: RecoveryFacts.tail(.foreign(subject: "x"), lastSequence: 98),
            recordedEnd: RecordedEnd(sequence: 97, message: .event(last, isLast: true)))
        let plan = try #require(facts.plan)
        #expect(plan.startLSN == LSN(0xF00))
        // A stray that came since is compared.
        #expect(plan.known == KnownEnd(storedSequence: 97, storedID: last, created: RecoveryFacts.created))
        #expect(plan.proof == .transaction(last.position, TransactionID(69), commitTimestamp: nil))
        // The record says 0/1040: believed now, a crash before the tail is stored again would lose it.
        #expect(plan.provenLSN == LSN(0xF00))
    }

    @Test func aSlotAheadOfTheRecordIsRefused() {
        #expect(RecoveryFacts(record: RecoveryFacts.record(confirmed: LSN(0x103F))).reason == .slotAhead)
        #expect(RecoveryFacts(record: RecoveryFacts.record(confirmed: LSN(0x1041))).reason == nil)
    }

    @Test func theRemedyGoesOnWhereThatIsPossibleAndBeginsAnewElsewhere() {
        let goesOn = StopReason.allCases.filter { LostHistory.remedy(for: $0).contains("`slotstream slot advance --accept-gap --by NAME`") }
        #expect(goesOn == StopReason.allCases.filter(LostHistory.isAcceptable))
        let beginsAnew = StopReason.allCases.filter { LostHistory.remedy(for: $0).contains("`slotstream setup`") }
        #expect(beginsAnew == StopReason.allCases.filter { !LostHistory.isAcceptable($0) })
    }

    // MARK: - Options

    private static let others = StreamOptions(replication: "publications=q", filters: "")
    private static let otherFilters = StreamOptions(replication: "publications=p", filters: "public.t")

    @Test func changedOptionsAreAcceptedOnlyAtTheEndOfATransaction() {
        var facts = RecoveryFacts(options: Self.others)
        #expect(facts.plan != nil)
        facts.record(last: RecoveryFacts.id(), isLast: false)
        #expect(facts.reason == .optionsChanged)
        facts.options = RecoveryFacts.options
        #expect(facts.plan != nil)
    }

    @Test(arguments: [others, otherFilters])
    func changedOptionsAreRefusedWhileSomethingOfOursIsNotProven(_ options: StreamOptions) {
        var facts = RecoveryFacts(options: options, hasUnproven: true)
        #expect(facts.reason == .optionsChanged)
        facts.options = RecoveryFacts.options
        #expect(facts.plan != nil)
    }

    @Test func changedFiltersAloneNeedNoMoreThanThat() {
        var facts = RecoveryFacts(options: Self.otherFilters)
        facts.record(last: RecoveryFacts.id(), isLast: false)
        facts.slot?.confirmedFlushLSN = LSN(0xF00)
        #expect(facts.plan != nil)
    }

    @Test func aRecordOfAVersionThatDidNotWriteTheFiltersHadThem() {
        var facts = RecoveryFacts(options: Self.otherFilters, hasUnproven: true)
        facts.record?.options = "publications=p"
        #expect(facts.plan != nil)
        facts.record?.options = "publications=q"
        #expect(facts.reason == .optionsChanged)
    }

    @Test func changedOptionsAfterAMessageThatIsGoneNeedAConfirmedPositionBeyondItsCommit() throws {
        var facts = Self.gone(100)
        facts.options = Self.others
        #expect(facts.plan != nil)
        // Stored in the middle of its transaction: nothing at or beyond its commit was ever confirmed.
        facts.record = RecoveryFacts.record(confirmed: LSN(0xF40))
        facts.slot?.confirmedFlushLSN = LSN(0xF40)
        #expect(facts.reason == .optionsChanged)
    }

    @Test func changedOptionsBeforeTheFirstEventAreAccepted() {
        let facts = RecoveryFacts(
            options: Self.others, record: RecoveryFacts.record(lastID: nil, lastSequence: 0),
            stream: RecoveryFacts.tail(.never, lastSequence: 0), recordedEnd: nil)
        #expect(facts.plan != nil)
    }

    // MARK: - The plan

    @Test func beforeTheFirstEventItStartsWhereTheSlotStands() throws {
        var facts = RecoveryFacts(
            record: RecoveryFacts.record(lastID: nil, lastSequence: 0),
            stream: RecoveryFacts.tail(.never, lastSequence: 0), recordedEnd: nil)
        // A server that was restored would skip what it was given between the slot and the record.
        facts.slot?.confirmedFlushLSN = LSN(0xF00)
        let expected = Recovery.Plan(
            startLSN: LSN(0xF00),
            known: KnownEnd(storedSequence: 0, storedID: nil, created: RecoveryFacts.created), proof: nil,
            provenLSN: RecoveryFacts.endLSN)
        #expect(facts.outcome == .proceed(expected))
    }

    @Test func itStartsAtTheProvenEventsCommitWhateverIsStoredBehindIt() {
        let later = RecoveryFacts.id(LSN(0x2000), 7)
        let last = RecoveryFacts.id()
        let facts = RecoveryFacts(stream: RecoveryFacts.tail(.event(later, isLast: false), lastSequence: 130))
        // What is stored behind it is compared with what is decoded again.
        let expected = Recovery.Plan(
            startLSN: RecoveryFacts.commitLSN, known: RecoveryFacts.record().knownEnd, proof: nil,
            provenLSN: RecoveryFacts.endLSN)
        #expect(facts.outcome == .proceed(expected))
        #expect(facts.plan?.known.storedID == last)
    }

    private static func plan(after id: MessageID, slotAt confirmed: LSN) throws -> Recovery.Plan {
        var facts = RecoveryFacts()
        facts.record(last: id, confirmed: LSN(0x8000))
        facts.slot?.confirmedFlushLSN = confirmed
        return try #require(facts.plan)
    }

    @Test func theLastTransactionIsExpectedFirstExactlyWhenItIsDeliveredAgain() throws {
        let commitLSN = RecoveryFacts.commitLSN
        for id in [RecoveryFacts.id(), RecoveryFacts.id(commitLSN, 1, kind: .marker), RecoveryFacts.id(commitLSN, 1, kind: .backfilled(BackfillPlace(run: 1, count: 1)))] {
            let proof = HistoryProof.transaction(id.position, TransactionID(70), commitTimestamp: nil)
            #expect(try Self.plan(after: id, slotAt: commitLSN).proof == proof)
            #expect(try Self.plan(after: id, slotAt: LSN(commitLSN.rawValue - 1)).proof == proof)
            #expect(try Self.plan(after: id, slotAt: LSN(commitLSN.rawValue + 1)).proof == nil)
        }
    }

    @Test func aMessageOutsideTransactionsIsExpectedFromWhereTheSlotStands() throws {
        let message = RecoveryFacts.id(RecoveryFacts.commitLSN, 0, xid: 0)
        let behind = try Self.plan(after: message, slotAt: LSN(0xF00))
        #expect(behind.proof == .message(RecoveryFacts.commitLSN))
        // From its own LSN on it would not be sent.
        #expect(behind.startLSN == LSN(0xF00))
        #expect(behind.known.storedID == message)
        #expect(try Self.plan(after: message, slotAt: RecoveryFacts.commitLSN).proof == nil)
    }

    @Test func behindAGapMarkerNothingFromBeforeItIsBelieved() throws {
        let marker = RecoveryFacts.id(RecoveryFacts.commitLSN, 0, xid: 0, kind: .marker)
        let behind = try Self.plan(after: marker, slotAt: LSN(0xF00))
        #expect(behind.proof == .nothingBefore(RecoveryFacts.commitLSN))
        #expect(behind.startLSN == LSN(0xF00))
        #expect(try Self.plan(after: marker, slotAt: RecoveryFacts.commitLSN).proof == nil)
        // The marker was deleted: the record knows that it was one.
        var facts = Self.gone(100)
        facts.record = RecoveryFacts.record(lastID: RecoveryFacts.id(RecoveryFacts.commitLSN, 0, xid: 0))
        facts.slot?.confirmedFlushLSN = LSN(0xF00)
        #expect(facts.plan?.proof == .message(RecoveryFacts.commitLSN))
        facts.record?.genesis = CheckpointRecord.Genesis(
            kind: CheckpointRecord.gapKind, lsn: RecoveryFacts.commitLSN.description, at: "")
        #expect(facts.plan?.proof == .nothingBefore(RecoveryFacts.commitLSN))
    }

    @Test(arguments: [RecoveryFacts.id(), RecoveryFacts.id(RecoveryFacts.commitLSN, 0, xid: 0)])
    func changedOptionsBeforeTheLastEventIsConfirmedAreRefused(_ last: MessageID) {
        var facts = RecoveryFacts(options: Self.others)
        facts.record(last: last)
        #expect(facts.plan != nil)
        // With these it need not be sent again, and would be missed.
        facts.slot?.confirmedFlushLSN = LSN(0xF00)
        #expect(facts.reason == .optionsChanged)
        facts.options = RecoveryFacts.options
        #expect(facts.plan != nil)
    }

    // MARK: - What a later version stored

    /// The record is of the event, or of the row behind it: both carry its position.
    @Test func aRowOfABackfillIsWhereItsEventWas() throws {
        let row = RecoveryFacts.id(kind: .backfilled(BackfillPlace(run: 1, count: 1)))
        var facts = RecoveryFacts()
        facts.record = RecoveryFacts.record(lastID: RecoveryFacts.id())
        facts.stream = RecoveryFacts.tail(.event(row, isLast: true))
        facts.recordedEnd = RecordedEnd(sequence: 100, message: .event(row, isLast: true))
        #expect(facts.plan?.startLSN == RecoveryFacts.commitLSN && facts.plan?.known.storedSequence == 100)
        // Behind what is proven: it is read there.
        facts.stream = RecoveryFacts.tail(.event(row, isLast: true), lastSequence: 140)
        facts.recordedEnd = RecordedEnd(sequence: 100, message: .event(RecoveryFacts.id(), isLast: true))
        #expect(facts.plan?.known.storedSequence == 100 && facts.plan?.known.storedID == RecoveryFacts.id())
        // Of a transaction that this server's history does not have.
        facts.stream = RecoveryFacts.tail(.event(RecoveryFacts.id(LSN(0x9100), kind: .backfilled(BackfillPlace(run: 1, count: 1))), isLast: true), lastSequence: 140)
        #expect(facts.reason == .positionAheadOfWAL)
    }

    // MARK: - All facts at once

    /// Whatever the servers say: the slot stands within what is proven, nothing is started beyond what is stored, or skipped without a proof, and the stream is trusted only as far as it goes.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func noPlanEverStartsBeyondWhatIsProven(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var planCount = 0
        for _ in 0..<20_000 {
            func lsn() -> LSN { LSN(0x1000 + 0x10 * UInt64.random(in: 0..<8, using: &random)) }
            let last = RecoveryFacts.id(lsn(), UInt64.random(in: 0...2, using: &random))
            let tail: StreamTail.Message =
                switch Int.random(in: 0..<4, using: &random) {
                case 0: .gone
                case 1: .never
                default: .event(last, isLast: Bool.random(using: &random))
                }
            var facts = RecoveryFacts(
                stream: RecoveryFacts.tail(
                    tail, lastSequence: tail == .never ? 0 : .random(in: 98...102, using: &random)))
            facts.record = RecoveryFacts.record(confirmed: lsn(), lastID: RecoveryFacts.id(lsn(), 1))
            let found = [StreamTail.Message.gone, .event(last, isLast: true), .foreign(subject: "x")]
            facts.recordedEnd = RecordedEnd(
                sequence: min(100, facts.stream?.lastSequence ?? 0),
                message: Bool.random(using: &random)
                    ? .event(RecoveryFacts.id(lsn(), 1), isLast: true) : found.randomElement(using: &random) ?? .gone)
            facts.slot?.confirmedFlushLSN = lsn()
            if Bool.random(using: &random),
                let promoted = TimelineHistory(currentTimeline: 2, text: "1\t\(lsn())\tpromoted")
            {
                facts.timelines = promoted
            }
            guard let plan = facts.plan, let record = facts.record, let slot = facts.slot?.confirmedFlushLSN else {
                continue
            }
            planCount += 1
            #expect(slot <= plan.provenLSN && plan.provenLSN <= record.confirmedLSN, "seed \(seed): \(facts)")
            if let switchPoint = facts.timelines.switchPoint(of: 1) { #expect(plan.provenLSN <= switchPoint) }
            if plan.known.storedSequence < record.lastSequence {
                #expect(plan.provenLSN <= plan.startLSN, "seed \(seed): \(facts)")
            }
            // Begun beyond the slot only where the server has to prove that it skips what is stored.
            if plan.startLSN > slot { #expect(plan.proof != nil, "seed \(seed): \(facts)") }
            #expect(plan.startLSN <= plan.known.storedID?.position.commitLSN ?? slot)
        }
        #expect(planCount > 500)
    }

    // MARK: - Behind an event that was passed over

    private static func skipped(_ id: MessageID, confirmed: LSN) -> RecoveryFacts {
        var facts = RecoveryFacts()
        facts.record(last: id, confirmed: confirmed)
        _ = facts.record?.add(AcceptedSkip(id: id, random: 1, acceptedBy: "ann", acceptedAt: ""))
        var marker = id
        marker.kind = .marker
        facts.stream = RecoveryFacts.tail(.event(marker, isLast: nil))
        facts.recordedEnd = RecordedEnd(sequence: 100, message: .event(marker, isLast: nil), commitTimestamp: PostgresTimestamp(5))
        facts.slot?.confirmedFlushLSN = confirmed
        return facts
    }

    @Test func aStreamThatEndsWithASkipsMarkerIsProvenByTheTransactionOfTheEvent() throws {
        let id = RecoveryFacts.id()
        let plan = try #require(Self.skipped(id, confirmed: LSN(0xF00)).plan)
        #expect(plan.startLSN == RecoveryFacts.commitLSN)
        #expect(plan.proof == .transaction(id.position, id.transactionID, commitTimestamp: PostgresTimestamp(5)))
        #expect(plan.known.skips.map(\.id) == [id])
    }

    /// A gap's marker there would let nothing from before it come.
    @Test func aSkippedMessageOutsideTransactionsIsProvenAsSuch() throws {
        let id = RecoveryFacts.id(LSN(0x1000), 0, xid: 0)
        var facts = Self.skipped(id, confirmed: LSN(0xF00))
        #expect(try #require(facts.plan).proof == .message(LSN(0x1000)))
        facts.record = RecoveryFacts.record(confirmed: LSN(0xF00), lastID: id)
        #expect(try #require(facts.plan).proof == .nothingBefore(LSN(0x1000)))
    }
}
