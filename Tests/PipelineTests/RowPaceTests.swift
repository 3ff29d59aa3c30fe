import Testing
import WAL

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

    private static let start = Instant(nanoseconds: 1_000_000_000)

    @Test func whatGoesOutIsWaitedFor() {
        var pace = RowPace(rate: 100, at: Self.start)
        #expect(pace.rest(after: 50, at: Self.start) == .milliseconds(500))
        // Whoever does not rest has it added.
        #expect(pace.rest(after: 100, at: Self.start + .milliseconds(100)) == .milliseconds(1_400))
    }

    /// What the reading of rows took is made up for, so that the rate is held.
    @Test func theReadingCostsNothing() {
        var pace = RowPace(rate: 1_000, at: Self.start)
        var now = Self.start
        for _ in 0..<10 {
            now = now + .milliseconds(30)
            now = now + (pace.rest(after: 100, at: now) ?? .zero)
        }
        #expect(now == Self.start + .seconds(1))
    }

    /// What was not used while nobody read is not.
    @Test func aPauseSavesNothing() {
        var pace = RowPace(rate: 1_000, at: Self.start)
        #expect(pace.rest(after: 1_000, at: Self.start + .seconds(30)) == .seconds(1))
    }

    @Test func lessThanAMillisecondIsNotWaitedFor() {
        var pace = RowPace(rate: 1_000_000)
        #expect(pace.rest(after: 1) == nil)
    }
}
