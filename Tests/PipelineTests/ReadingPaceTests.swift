import Testing
import Threads
import WAL

@testable import Pipeline

@Suite struct ReadingPaceTests {
    private static let start = Instant(nanoseconds: 1_000_000_000)

    private static func at(_ microseconds: Int64) -> Instant { start + .microseconds(microseconds) }

    /// The rests after single-row transactions that are read one by one, evenly, for a tenth of a second.
    private static func rests(transactionsPerSecond rate: Int64) -> [Duration] {
        var pace = ReadingPace(at: start)
        return (0..<rate / 10).map { pace.rest(afterFrames: 3, transactions: 1, at: at($0 * 1_000_000 / rate)) }
    }

    @Test(arguments: [100, 1000, 3000] as [Int64])
    func aTrickleIsReadAtOnce(rate: Int64) {
        #expect(Self.rests(transactionsPerSecond: rate).allSatisfy { $0 == .zero })
    }

    @Test(arguments: [4000, 5000, 9000] as [Int64])
    func aSteadyLoadIsReadWithShortBreaksAfterTheFirstStretch(rate: Int64) {
        let rests = Self.rests(transactionsPerSecond: rate)
        let stretch = Int(rate) / 100
        #expect(rests.prefix(stretch).allSatisfy { $0 == .zero })
        #expect(rests.dropFirst(stretch).allSatisfy { $0 == ReadingPace.steadyBreak })
    }

    @Test func aStretchOfATrickleEndsTheBreaks() {
        var pace = ReadingPace(at: Self.start)
        _ = pace.rest(afterFrames: 30, transactions: 36, at: Self.at(9000))
        #expect(pace.rest(afterFrames: 3, transactions: 1, at: Self.at(10_000)) == ReadingPace.steadyBreak)
        #expect(pace.rest(afterFrames: 3, transactions: 1, at: Self.at(19_999)) == ReadingPace.steadyBreak)
        #expect(pace.rest(afterFrames: 3, transactions: 1, at: Self.at(20_000)) == .zero)
    }

    @Test func theRowsOfLargeTransactionsAreNoSteadyLoad() {
        var pace = ReadingPace(at: Self.start)
        for turn in 0..<100 as Range<Int64> {
            #expect(pace.rest(afterFrames: 30, transactions: 1, at: Self.at(turn * 1000)) == .zero)
        }
    }

    @Test func aBacklogIsLeftAloneForTheRestOfItsGulp() {
        var pace = ReadingPace(at: Self.start)
        #expect(pace.rest(afterFrames: 30, transactions: 0, at: Self.at(100)) == .zero)
        #expect(pace.rest(afterFrames: 30, transactions: 0, at: Self.at(300)) == .microseconds(700))
        // The next gulp begins where that one ended.
        #expect(pace.rest(afterFrames: 300, transactions: 0, at: Self.at(1060)) == .microseconds(940))
        #expect(pace.rest(afterFrames: 300, transactions: 0, at: Self.at(2060)) == .microseconds(940))
    }

    @Test func whatFillsAWholeTurnIsReadOnAtOnce() {
        var pace = ReadingPace(at: Self.start)
        #expect(pace.rest(afterFrames: ReadingPace.frameLimit, transactions: 0, at: Self.at(10)) == .zero)
        #expect(pace.rest(afterFrames: 5, transactions: 0, at: Self.at(20)) == .microseconds(980))
    }

    @Test func whereNothingWasReadThereIsNoRest() {
        var pace = ReadingPace(at: Self.start)
        for turn in 0..<40 as Range<Int64> {
            _ = pace.rest(afterFrames: 3, transactions: 1, at: Self.at(turn * 240))
        }
        #expect(pace.rest(afterFrames: 0, transactions: 0, at: Self.at(10_000)) == .zero)
        #expect(pace.rest(afterFrames: 3, transactions: 1, at: Self.at(10_100)) == ReadingPace.steadyBreak)
    }
}
