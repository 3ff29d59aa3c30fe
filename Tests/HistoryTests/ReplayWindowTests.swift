import History
import PostgresReplication
import Testing
import WAL

@Suite struct ReplayWindowTests {
    private static let megabyte: UInt64 = 1 << 20
    private static let start: UInt64 = 1 << 30

    /// A window that saw a megabyte confirmed in each of so many seconds.
    private func window(seconds: UInt64, age: Duration = .seconds(60), byteCount: UInt64 = 1 << 40) -> ReplayWindow {
        var window = ReplayWindow(ReplayWindow.Limits(age: age, byteCount: byteCount))
        for second in 0...seconds {
            window.saw(
                confirmed: LSN(Self.start + second * Self.megabyte), at: Instant(nanoseconds: second * 1_000_000_000),
                time: PostgresTimestamp(unixMicroseconds: Int64(second) * 1_000_000))
        }
        return window
    }

    private func anchor(at megabytes: UInt64, walEndsAt end: UInt64) -> SlotState {
        SlotState(
            name: "s_anchor", restartLSN: LSN(Self.start + megabytes * Self.megabyte),
            confirmedFlushLSN: LSN(Self.start + megabytes * Self.megabyte), currentWALLSN: LSN(Self.start + end * Self.megabyte))
    }

    private func target(
        _ window: ReplayWindow, from megabytes: UInt64, at second: UInt64, kept: UInt64? = nil
    ) -> UInt64? {
        window.target(
            of: anchor(at: megabytes, walEndsAt: second), confirmed: LSN(Self.start + second * Self.megabyte), keptByteCount: kept,
            at: Instant(nanoseconds: second * 1_000_000_000)
        ).map { ($0.rawValue - Self.start) / Self.megabyte }
    }

    @Test func itTrailsByItsAge() {
        #expect(target(window(seconds: 30), from: 0, at: 30) == nil)
        let moved = target(window(seconds: 100), from: 0, at: 100)
        // Samples stand about a second apart.
        #expect(moved.map { (38...40).contains($0) } == true)
        // A short move waits until it is late.
        #expect(target(window(seconds: 100), from: 35, at: 100) == nil)
        #expect(target(window(seconds: 120), from: 35, at: 120) != nil)
    }

    @Test func itIsShortenedAboveItsBytes() {
        let window = window(seconds: 50, byteCount: 20 * Self.megabyte)
        #expect(target(window, from: 0, at: 50) == 30)
        #expect(target(window, from: 31, at: 50) == nil)
    }

    @Test func itLetsGoBeforePostgreSQLTakesIt() {
        let window = window(seconds: 50)
        #expect(target(window, from: 0, at: 50, kept: 40 * Self.megabyte) == 30)
    }

    @Test func itIsNeverBeyondWhatIsConfirmed() {
        let window = window(seconds: 10, byteCount: Self.megabyte)
        let target = window.target(
            of: anchor(at: 0, walEndsAt: 5_000), confirmed: LSN(Self.start + 10 * Self.megabyte), keptByteCount: nil,
            at: Instant(nanoseconds: 10_000_000_000))
        #expect(target == LSN(Self.start + 10 * Self.megabyte))
    }

    @Test func itsReachIsSinceThePositionWasConfirmed() {
        let window = window(seconds: 50)
        #expect(window.reach(of: LSN(Self.start + 20 * Self.megabyte))?.time == PostgresTimestamp(unixMicroseconds: 20_000_000))
        #expect(window.reach(of: LSN(Self.start + 100 * Self.megabyte)) == nil)
        // What was confirmed before it began to look was within reach then at the latest.
        #expect(window.reach(of: LSN(1))?.time == PostgresTimestamp(unixMicroseconds: 0))
    }

    @Test func aServerThatWasRestoredBeginsAnew() {
        var window = window(seconds: 50)
        window.saw(confirmed: LSN(Self.start), at: Instant(nanoseconds: 60_000_000_000), time: PostgresTimestamp(unixMicroseconds: 60_000_000))
        #expect(window.reach(of: LSN(Self.start + Self.megabyte)) == nil)
    }
}
