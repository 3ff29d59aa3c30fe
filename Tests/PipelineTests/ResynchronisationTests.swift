import Capture
import Testing
import WAL

@testable import Pipeline

@Suite struct ResynchronisationTests {
    private static let timelines = TimelineHistory(currentTimeline: 1)

    /// The window's events, counted from 10, are at commit LSNs 0x1000, 0x1010…
    private static func position(_ index: UInt64) -> Position {
        Position(commitLSN: LSN(0xF60 + 0x10 * index), ordinal: 1)
    }

    private static func id(_ index: UInt64) -> MessageID {
        RecoveryFacts.id(position(index).commitLSN, 1)
    }

    /// Event 9 was stored last, at sequence 109.
    private static let known = Resynchronisation.Known(
        storedSequence: 109, storedID: id(9), created: RecoveryFacts.created)

    private static func decide(
        _ tail: StreamTail?, known: Resynchronisation.Known = known, retained: Range<UInt64> = 10..<20,
        timelines: TimelineHistory = timelines
    ) -> Resynchronisation {
        Resynchronisation.decide(
            tail: tail, known: known, identity: RecoveryFacts.identity, timelines: timelines, retained: retained,
            position: position)
    }

    private static func isMoved(_ decision: Resynchronisation) -> Bool {
        if case .moved = decision { true } else { false }
    }

    @Test func aStreamThatIsGoneOrNewOrShorterHasMoved() {
        #expect(Self.isMoved(Self.decide(nil)))
        #expect(Self.isMoved(Self.decide(RecoveryFacts.tail(.never, lastSequence: 0, created: "later"))))
        #expect(Self.isMoved(Self.decide(RecoveryFacts.tail(.event(Self.id(9), isLast: true), lastSequence: 108))))
        #expect(Self.isMoved(Self.decide(RecoveryFacts.tail(.never, lastSequence: 0))))
    }

    @Test func aMessageThatIsGoneIsTheLastKnownOrNobodyKnowsIt() {
        let known = Self.decide(RecoveryFacts.tail(.gone, lastSequence: 109))
        #expect(known == .resume(storedCount: 10, lastSequence: 109, storedID: Self.known.storedID))
        #expect(Self.isMoved(Self.decide(RecoveryFacts.tail(.gone, lastSequence: 110))))
    }

    @Test func aNewStreamThatIsStillEmptyIsGoneOnWithFromItsStart() {
        let known = Resynchronisation.Known(storedSequence: 0, storedID: nil, created: RecoveryFacts.created)
        let decision = Self.decide(RecoveryFacts.tail(.never, lastSequence: 0), known: known, retained: 0..<5)
        #expect(decision == .resume(storedCount: 0, lastSequence: 0, storedID: nil))
    }

    @Test func messagesOfOthersAreForeign() {
        #expect(
            Self.decide(RecoveryFacts.tail(.foreign(subject: "x"), lastSequence: 110))
                == .foreign(subject: "x", sequence: 110))
        let other = RecoveryFacts.tail(.event(RecoveryFacts.id(database: 6), isLast: true), lastSequence: 110)
        guard case .foreign(_, 110) = Self.decide(other) else {
            Issue.record("an event of another database is foreign")
            return
        }
    }

    @Test(arguments: 9...19 as ClosedRange<UInt64>)
    func everythingUpToTheStreamsLastMessageIsStored(_ last: UInt64) {
        let decision = Self.decide(RecoveryFacts.tail(.event(Self.id(last), isLast: true), lastSequence: 100 + last))
        #expect(decision == .resume(storedCount: last + 1, lastSequence: 100 + last, storedID: Self.id(last)))
    }

    @Test func aLastMessageBetweenTwoRetainedEventsStoresTheOneBeforeIt() {
        // A predecessor with fewer filters stored more of the same changes.
        let between = RecoveryFacts.id(LSN(0x1018), 1)
        let decision = Self.decide(RecoveryFacts.tail(.event(between, isLast: true), lastSequence: 112))
        #expect(decision == .resume(storedCount: 12, lastSequence: 112, storedID: between))
    }

    @Test func aPredecessorsLatePublishesRaiseTheWatermark() {
        let ahead = RecoveryFacts.id(LSN(0x2000), 4)
        let tail = RecoveryFacts.tail(.event(ahead, isLast: false), lastSequence: 140)
        #expect(Self.decide(tail) == .skip(storedCount: 20, lastSequence: 140, storedID: ahead))
        #expect(Self.decide(tail, retained: 10..<10) == .skip(storedCount: 10, lastSequence: 140, storedID: ahead))
        let fresh = Resynchronisation.Known(storedSequence: 0, storedID: nil, created: RecoveryFacts.created)
        #expect(
            Self.decide(tail, known: fresh, retained: 0..<0)
                == .skip(storedCount: 0, lastSequence: 140, storedID: ahead))
    }

    @Test func anOlderLastMessageMeansThatTheTailWasLost() {
        let older = RecoveryFacts.id(LSN(0xF00), 1)
        #expect(Self.isMoved(Self.decide(RecoveryFacts.tail(.event(older, isLast: true), lastSequence: 120))))
    }

    @Test func whatAZombieOfTheOldPrimaryPublishedIsNoProgress() throws {
        let promoted = try #require(TimelineHistory(currentTimeline: 2, text: "1\t0/1100\tpromoted"))
        let zombie = RecoveryFacts.tail(.event(RecoveryFacts.id(LSN(0x2000), 1), isLast: true), lastSequence: 140)
        #expect(Self.isMoved(Self.decide(zombie, timelines: promoted)))
        let ours = RecoveryFacts.id(LSN(0x2000), 1, timeline: 2)
        #expect(
            Self.decide(RecoveryFacts.tail(.event(ours, isLast: true), lastSequence: 140), timelines: promoted)
                == .skip(storedCount: 20, lastSequence: 140, storedID: ours))
    }

    /// Against a search event by event, over windows of all sizes.
    @Test(arguments: [1, 2] as [UInt64])
    func whatIsStoredIsExactlyWhatIsAtOrBelowTheLastMessage(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        for _ in 0..<5_000 {
            var lsn: UInt64 = 0x1000
            let count = Int.random(in: 1...40, using: &random)
            let positions = (0..<count).map { _ in
                lsn += UInt64.random(in: 1...3, using: &random)
                return Position(commitLSN: LSN(lsn), ordinal: UInt64.random(in: 0...2, using: &random))
            }
            let last = RecoveryFacts.id(
                LSN(UInt64.random(in: 0x1000...lsn + 2, using: &random)), UInt64.random(in: 0...2, using: &random))
            let first = UInt64.random(in: 0...1000, using: &random)
            let known = Resynchronisation.Known(storedSequence: 5, storedID: nil, created: RecoveryFacts.created)
            let decision = Resynchronisation.decide(
                tail: RecoveryFacts.tail(.event(last, isLast: true), lastSequence: 9), known: known,
                identity: RecoveryFacts.identity, timelines: Self.timelines, retained: first..<first + UInt64(count),
                position: { positions[Int($0 - first)] })
            let storedCount = first + UInt64(positions.count { $0 <= last.position })
            let isAhead = positions[count - 1] < last.position
            #expect(
                decision
                    == (isAhead
                        ? .skip(storedCount: storedCount, lastSequence: 9, storedID: last)
                        : .resume(storedCount: storedCount, lastSequence: 9, storedID: last)),
                "seed \(seed)")
        }
    }
}
