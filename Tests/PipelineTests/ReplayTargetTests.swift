import Capture
import Testing
import WAL

@testable import Pipeline

@Suite struct ReplayTargetTests {
    @Test(arguments: [
        ("a.>", "a.b.>", true), ("a.>", "b.>", false), ("a.*", "a.b.c", false), ("a.*.c", "a.b.*", true), (">", "x", true),
        ("a.b", "a.b", true), ("a.b", "a.b.c", false),
    ]) func filtersOverlapWhereASubjectMatchesBoth(_ one: String, _ other: String, _ overlaps: Bool) {
        #expect(SubjectPrefix.overlaps(one, other) == overlaps)
        #expect(SubjectPrefix.overlaps(other, one) == overlaps)
    }

    @Test(arguments: [
        ("a.>", "a.b.>", true), ("a.b.>", "a.>", false), ("a.*", "a.>", false), ("a.*", "a.b", true), ("a.b", "a.b", true), (">", "a.>", true),
    ]) func aFilterCoversWhatItMatchesWholly(_ filter: String, _ other: String, _ covers: Bool) {
        #expect(SubjectPrefix.covers(filter, other) == covers)
    }

    @Test func aPrefixIsMadeOfPlainTokens() {
        #expect(["a", "a.b-c.D_1"].allSatisfy(SubjectPrefix.isValid))
        #expect(!["", "a..b", ".a", "a.", "a.*", "a.>", "$JS.x", "a b"].contains(where: SubjectPrefix.isValid))
    }

    @Test func positionsAreFoundOnceTheyAreSorted() {
        var positions = PositionSet()
        for lsn in [5, 1, 9, 3] as [UInt64] { positions.insert(Position(commitLSN: LSN(lsn), ordinal: 1)) }
        positions.sort()
        #expect((0...10 as ClosedRange<UInt64>).filter { positions.contains(Position(commitLSN: LSN($0), ordinal: 1)) } == [1, 3, 5, 9])
        #expect(!positions.contains(Position(commitLSN: LSN(5), ordinal: 2)))
        #expect(!PositionSet().contains(Position(commitLSN: LSN(5), ordinal: 2)))
    }

    @Test func aRangeHasBothItsEnds() {
        var range = ResolvedRange()
        range.fromPosition = Position(commitLSN: LSN(5), ordinal: 0)
        range.toPosition = Position(commitLSN: LSN(9), ordinal: .max)
        range.toTime = PostgresTimestamp(unixMicroseconds: 100)
        func contains(_ lsn: UInt64, at time: Int64?) -> Bool {
            range.contains(Position(commitLSN: LSN(lsn), ordinal: 1), committedAt: time.map { PostgresTimestamp(unixMicroseconds: $0) })
        }
        #expect(contains(5, at: 100) && contains(9, at: 1) && contains(7, at: nil))
        #expect(!contains(4, at: 100) && !contains(10, at: 100) && !contains(7, at: 101))
    }
}
