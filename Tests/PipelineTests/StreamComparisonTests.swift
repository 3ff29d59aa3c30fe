import Capture
import History
import HistoryFacts
import Testing
import WAL

@testable import Pipeline

@Suite struct StreamComparisonTests {
    /// The exact rule believes nothing that is not so, whatever arrives when.
    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func noScheduleOfStraysAndPredecessorsIsBelievedWrongly(part: UInt64) {
        var endings: [ChainModel.Ending: Int] = [:]
        for seed in part * 100_000..<part * 100_000 + 5_000 {
            var model = ChainModel(seed: seed, rule: .exact)
            let ending = model.run()
            if case .silent(let what) = ending { Issue.record("seed \(seed): \(what)") }
            endings[ending, default: 0] += 1
        }
        #expect(endings[.whole, default: 0] > 1_000)
        #expect(endings[.stopped, default: 0] > 100)
    }

    /// The model tells a rule that loses events.
    @Test func theWeakerRuleIsFoundOut() {
        var silentCount = 0
        for seed in 1...2_000 as ClosedRange<UInt64> {
            var model = ChainModel(seed: seed, rule: .presentOursRising)
            if case .silent = model.run() { silentCount += 1 }
        }
        #expect(silentCount > 200)
    }

    // MARK: - Ids of other kinds behind what is proven

    private static let proven = RecoveryFacts.id(LSN(0x1000), 1)

    private static func event(_ number: UInt64) -> MessageID { RecoveryFacts.id(LSN(0x1000 + 16 * number), 1, xid: 70 + UInt32(number)) }

    /// A row of a backfill that stands behind the event at its position.
    private static func row(behind number: UInt64, count: UInt64 = 1) -> MessageID {
        var id = event(number)
        id.kind = .backfilled(BackfillPlace(run: 1, count: count))
        return id
    }

    /// Compares a stream of these ids, the proven one first, with the events that the slot decodes behind it.
    private static func compare(
        _ stored: [MessageID?], with decoded: ClosedRange<UInt64>, proven: MessageID? = Self.proven, firstSequence: UInt64 = 1
    ) throws -> (readings: [StreamComparison.Reading], matches: [StreamComparison.Match], isWhole: Bool, comparison: StreamComparison) {
        let known = KnownEnd(storedSequence: proven == nil ? 0 : 1, storedID: proven, created: "")
        var comparison = StreamComparison(known, identity: RecoveryFacts.identity, timelines: TimelineHistory(currentTimeline: 1))
        var readings: [StreamComparison.Reading] = []
        var sequence: UInt64 = 0
        for id in (proven.map { [$0] } ?? []) + stored {
            sequence += 1
            // What retention took is not there to be read.
            if sequence > 1, sequence < firstSequence { continue }
            readings.append(try comparison.read(sequence, id, subject: "x"))
        }
        try comparison.readAll(through: sequence, firstSequence: firstSequence)
        var matches: [StreamComparison.Match] = []
        for number in decoded {
            // A predecessor's rows have nothing to be compared with, once the event behind which they stand was.
            while let row = comparison.next, comparison.nextOfBackfill != nil, row.order < event(number).order { comparison.passOverNext() }
            guard let match = comparison.decoded(event(number).order, event(number).transactionID) else { break }
            matches.append(match)
        }
        while comparison.nextOfBackfill != nil { comparison.passOverNext() }
        return (readings, matches, comparison.next == nil, comparison)
    }

    @Test func rowsOfABackfillAreNoHoleAndNoWatermark() throws {
        let found = try Self.compare(
            [Self.row(behind: 0), Self.event(1), Self.row(behind: 1, count: 2), Self.row(behind: 1, count: 3), Self.event(2), Self.row(behind: 2, count: 4)],
            with: 1...3)
        #expect(found.readings == [.proven, .ours, .ours, .ours, .ours, .ours, .ours])
        #expect(found.matches == [.stored(sequence: 3), .stored(sequence: 6)] && found.isWhole)
        #expect(found.comparison.strayCount == 0)
    }

    /// The process that sent a row compares it as it does an event.
    @Test func aRowOfOnesOwnIsComparedByRunAndNumber() throws {
        let known = KnownEnd(storedSequence: 1, storedID: Self.proven, created: "")
        var comparison = StreamComparison(known, identity: RecoveryFacts.identity, timelines: TimelineHistory(currentTimeline: 1))
        let rows = [Self.row(behind: 0, count: 1), Self.row(behind: 0, count: 3), Self.row(behind: 0, count: 2), Self.event(1)]
        let readings = try rows.enumerated().map { try comparison.read(UInt64($0.offset) + 2, $0.element, subject: "shop._slotstream.BACKFILL") }
        // An earlier one stored again is an echo.
        #expect(readings == [.ours, .ours, .stray, .ours])
        let place = try #require(comparison.nextOfBackfill)
        #expect(place.isMarker && place.id == rows[0])
        #expect(comparison.decoded(rows[0].order, rows[0].transactionID) == .stored(sequence: 2))
        guard case .missing(let before)? = comparison.decoded(rows[2].order, rows[2].transactionID) else {
            Issue.record("the second row is missing")
            return
        }
        #expect(before.sequence == 3)
        #expect(comparison.decoded(rows[1].order, rows[1].transactionID) == .stored(sequence: 3))
        #expect(comparison.decoded(rows[3].order, rows[3].transactionID) == .stored(sequence: 5) && comparison.next == nil)
    }

    /// It was stored behind its event: where that one is not, somebody took its place.
    @Test func anEventIsMissingBeforeTheRowThatStandsBehindIt() throws {
        let found = try Self.compare([nil, Self.row(behind: 1), Self.event(2)], with: 1...2)
        #expect(found.readings == [.proven, .stray, .ours, .ours])
        guard case .missing(let before)? = found.matches.first else {
            Issue.record("\(found.matches)")
            return
        }
        #expect(before.sequence == 3 && before.order.isOfBackfill && found.matches.last == .stored(sequence: 4) && found.isWhole)
        let several = try Self.compare([nil, nil, Self.row(behind: 2), Self.event(3)], with: 1...3)
        #expect(several.matches.prefix(2).allSatisfy { if case .missing = $0 { true } else { false } })
        #expect(several.matches.last == .stored(sequence: 5) && several.isWhole)
    }

    @Test func retentionMayHaveTakenTheEventBeforeARow() throws {
        let found = try Self.compare([Self.event(1), Self.row(behind: 1), Self.event(2)], with: 1...2, firstSequence: 3)
        #expect(found.matches == [.retired(sequence: 2), .stored(sequence: 4)] && found.isWhole)
    }

    @Test func aRowBehindAnEventThatTheServerDoesNotHaveIsOfAnotherHistory() throws {
        var row = Self.row(behind: 1)
        row.timeline = 2
        #expect(throws: StreamComparison.Fault.self) { try Self.compare([row], with: 1...2) }
    }

    @Test func rowsBeforeTheFirstEventStandBehindTheBeginning() throws {
        let row = RecoveryFacts.id(LSN(0x800), 0, xid: 0, kind: .backfilled(BackfillPlace(run: 1, count: 1)))
        let found = try Self.compare([row, Self.event(1)], with: 1...1, proven: nil)
        #expect(found.readings == [.ours, .ours] && found.matches == [.stored(sequence: 2)] && found.isWhole)
    }

    /// Its position is one of this stream's events: it is none of them, wherever it stands.
    @Test func aReplayedEventIsAStrayAndNeverWhatWasProven() throws {
        var replayed = Self.event(1)
        replayed.kind = .replayed
        let found = try Self.compare([replayed, Self.event(1)], with: 1...1)
        #expect(found.readings == [.proven, .stray, .ours] && found.matches == [.stored(sequence: 3)])
        let known = KnownEnd(storedSequence: 1, storedID: Self.proven, created: "")
        var comparison = StreamComparison(known, identity: RecoveryFacts.identity, timelines: TimelineHistory(currentTimeline: 1))
        var inItsPlace = Self.proven
        inItsPlace.kind = .replayed
        #expect(throws: StreamComparison.Fault.self) { try comparison.read(1, inItsPlace, subject: "x") }
    }

    // MARK: - Markers in the places of events that were passed over

    /// A skip's marker in the place of this event, and the decision.
    private static func skipped(_ number: UInt64) -> (marker: MessageID, skip: AcceptedSkip) {
        var marker = event(number)
        marker.kind = .marker
        return (marker, AcceptedSkip(id: event(number), random: 1, acceptedBy: "ann", acceptedAt: ""))
    }

    private static func compareSkipped(
        _ stored: [MessageID], skips: [AcceptedSkip], subject: String = "shop._slotstream.SKIP", with decoded: ClosedRange<UInt64>
    ) throws -> (readings: [StreamComparison.Reading], matches: [StreamComparison.Match]) {
        let known = KnownEnd(storedSequence: 1, storedID: proven, created: "", skips: skips)
        var comparison = StreamComparison(known, identity: RecoveryFacts.identity, timelines: TimelineHistory(currentTimeline: 1))
        var readings: [StreamComparison.Reading] = []
        for (index, id) in stored.enumerated() { readings.append(try comparison.read(UInt64(index) + 2, id, subject: subject)) }
        try comparison.readAll(through: UInt64(stored.count) + 1, firstSequence: 1)
        return (readings, decoded.compactMap { comparison.decoded(event($0).order, event($0).transactionID) })
    }

    @Test func aSkipsMarkerIsComparedAsTheEventInWhosePlaceItStands() throws {
        let (marker, skip) = Self.skipped(2)
        let found = try Self.compareSkipped([Self.event(1), marker, Self.event(3)], skips: [skip], with: 1...3)
        #expect(found.readings == [.ours, .ours, .ours])
        #expect(found.matches == [.stored(sequence: 2), .stored(sequence: 3), .stored(sequence: 4)])
    }

    @Test func anEventThatWasNotPassedOverIsMissingBeforeAMarker() throws {
        let (marker, skip) = Self.skipped(2)
        let found = try Self.compareSkipped([marker, Self.event(3)], skips: [skip], with: 1...3)
        guard case .missing? = found.matches.first else {
            Issue.record("\(found.matches)")
            return
        }
        #expect(found.matches.dropFirst() == [.stored(sequence: 2), .stored(sequence: 3)])
    }

    /// Whoever may publish can make such a marker: only the record says that an event is passed over.
    @Test func aMarkerThatTheRecordDoesNotKnowStandsForNoEvent() throws {
        let (marker, skip) = Self.skipped(2)
        let unknown = try Self.compareSkipped([Self.event(1), marker, Self.event(3)], skips: [], with: 1...2)
        #expect(unknown.readings == [.ours, .marker, .ours])
        guard case .missing? = unknown.matches.last else {
            Issue.record("\(unknown.matches)")
            return
        }
        let gap = try Self.compareSkipped([Self.event(1), marker], skips: [skip], subject: "shop._slotstream.GAP", with: 1...1)
        #expect(gap.readings.last == .marker)
        // A second one tells nothing.
        let twice = try Self.compareSkipped([Self.event(1), marker, marker, Self.event(3)], skips: [skip], with: 1...3)
        #expect(twice.readings == [.ours, .ours, .marker, .ours] && twice.matches.last == .stored(sequence: 5))
    }
}
