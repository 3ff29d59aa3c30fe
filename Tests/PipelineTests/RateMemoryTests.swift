import Testing
import WAL

@testable import Pipeline

@Suite struct RateMemoryTests {
    private let start = Instant(nanoseconds: 1_000_000_000_000)

    private func memory(seconds: ClosedRange<Int>, bytesPerSecond: UInt64 = 100, eventsPerSecond: UInt64 = 3) -> RateMemory {
        var memory = RateMemory()
        for second in seconds {
            memory.saw(
                walLSN: LSN(1_000 + UInt64(second) * bytesPerSecond), eventCount: UInt64(second) * eventsPerSecond, at: start + .seconds(second))
        }
        return memory
    }

    @Test func tellsTheLastMinutesRates() {
        let rates = memory(seconds: 0...600).rates(at: start + .seconds(601))
        #expect(rates == StreamerStatus.Rates(eventsPerSecond: 3, walBytesPerSecond: 100, seconds: 60))
    }

    @Test func whatOneLookShowsIsNoRate() {
        #expect(memory(seconds: 0...0).rates(at: start) == nil)
        #expect(RateMemory().rates(at: start) == nil)
    }

    @Test func whatIsLongAgoIsNoRateOfNowButIsRemembered() {
        let memory = memory(seconds: 0...10)
        #expect(memory.rates(at: start + .seconds(11))?.seconds == 10)
        #expect(memory.rates(at: start + .seconds(60)) == nil)
        #expect(memory.latest?.eventsPerSecond == 3)
    }

    @Test func anotherServersPositionsBeginAnew() {
        var memory = memory(seconds: 0...10)
        memory.saw(walLSN: LSN(5), eventCount: 30, at: start + .seconds(11))
        #expect(memory.latest == nil)
        memory.saw(walLSN: LSN(25), eventCount: 34, at: start + .seconds(13))
        #expect(memory.latest == StreamerStatus.Rates(eventsPerSecond: 2, walBytesPerSecond: 10, seconds: 2))
    }

    @Test func looksInQuickSuccessionAreOne() {
        var memory = RateMemory()
        for millisecond in 0..<2_000 { memory.saw(walLSN: LSN(UInt64(millisecond)), eventCount: 0, at: start + .milliseconds(millisecond)) }
        #expect(memory.latest?.seconds == 1)
    }
}
