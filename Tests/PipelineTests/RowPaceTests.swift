import Testing

@testable import Pipeline

@Suite struct RowPaceTests {
    @Test(arguments: [nil, 0, -1] as [Int?])
    func withoutARateNothingWaits(_ rate: Int?) {
        var pace = RowPace(rate: rate)
        #expect(pace.limited(4_000) == 4_000 && pace.limited(1) == 1)
        #expect(pace.rest(after: 1_000_000) == nil)
    }

    @Test func aChunkIsATwentiethOfASecondsRowsAtMost() {
        #expect([1, 19, 20, 100, 1_000_000].map { RowPace(rate: $0).limited(4_000) } == [1, 1, 1, 5, 4_000])
        #expect(RowPace(rate: 100).limited(2) == 2)
    }

    @Test func whatGoesOutIsWaitedFor() throws {
        var pace = RowPace(rate: 100)
        let start = ContinuousClock.now
        let rests = [50, 100].map { pace.rest(after: $0) }
        let spent = ContinuousClock.now - start
        let first = try #require(rests[0]), second = try #require(rests[1])
        #expect(first <= .milliseconds(500) && first >= .milliseconds(499) - spent)
        // Whoever does not rest has it added.
        #expect(second <= .milliseconds(1_500) && second >= .milliseconds(1_499) - spent)
    }

    /// What was not used while nobody read is not made up for.
    @Test func aPauseSavesNothing() throws {
        var pace = RowPace(rate: 1_000)
        _ = pace.rest(after: 1)
        let start = ContinuousClock.now
        while ContinuousClock.now - start < .milliseconds(60) {}
        let rest = pace.rest(after: 1_000)
        #expect(try #require(rest) > .milliseconds(900))
    }

    @Test func lessThanAMillisecondIsNotWaitedFor() {
        var pace = RowPace(rate: 1_000_000)
        #expect(pace.rest(after: 1) == nil)
    }
}
