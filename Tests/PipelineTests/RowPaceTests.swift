import Testing

@testable import Pipeline

@Suite struct RowPaceTests {
    @Test(arguments: [nil, 0, -1] as [Int?])
    func withoutARateNothingWaits(_ rate: Int?) {
        var pace = RowPace(rate: rate)
        #expect(pace.limited(4_000, liveRate: nil) == 4_000 && pace.limited(1, liveRate: nil) == 1)
        #expect(pace.rest(after: 1_000_000) == nil)
    }

    @Test func aChunkIsATenthOfASecondsRowsAtMost() {
        #expect([1, 9, 10, 100, 1_000_000].map { RowPace(rate: $0).limited(4_000, liveRate: nil) } == [1, 1, 1, 10, 4_000])
        #expect(RowPace(rate: 100).limited(2, liveRate: nil) == 2)
    }

    @Test func besideLiveEventsItIsHalfASecondsRows() {
        #expect([1, 500, 1e6].map { RowPace(rate: nil).limited(4_000, liveRate: $0) } == [1, 250, 4_000])
        #expect(RowPace(rate: 100).limited(4_000, liveRate: 500) == 10)
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

    /// What the reading of rows took is made up for, so that the rate is held.
    @Test func theReadingCostsNothing() throws {
        var pace = RowPace(rate: 1_000)
        let start = ContinuousClock.now
        var rests: [Duration] = []
        for _ in 0..<3 {
            let reading = ContinuousClock.now
            while ContinuousClock.now - reading < .milliseconds(30) {}
            rests.append(pace.rest(after: 100) ?? .zero)
        }
        let spent = ContinuousClock.now - start
        #expect(rests[2] <= .milliseconds(300) - .milliseconds(90) && rests[2] >= .milliseconds(299) - spent)
    }

    /// What was not used while nobody read is not.
    @Test func aPauseSavesNothing() throws {
        var pace = RowPace(rate: 1_000)
        _ = pace.rest(after: 1)
        let start = ContinuousClock.now
        while ContinuousClock.now - start < .milliseconds(300) {}
        let rest = pace.rest(after: 1_000)
        #expect(try #require(rest) > .milliseconds(900))
    }

    @Test func lessThanAMillisecondIsNotWaitedFor() {
        var pace = RowPace(rate: 1_000_000)
        #expect(pace.rest(after: 1) == nil)
    }
}
