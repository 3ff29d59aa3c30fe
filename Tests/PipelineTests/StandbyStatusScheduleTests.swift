import SeededRandom
import Testing
import Threads
import WAL

@testable import Pipeline

@Suite struct StandbyStatusScheduleTests {
    private typealias Status = StandbyStatusSchedule.Status

    private static let start = Instant(nanoseconds: 1_000_000_000)

    private static func at(_ milliseconds: Int64) -> Instant { start + .milliseconds(milliseconds) }

    private static func schedule() -> StandbyStatusSchedule {
        StandbyStatusSchedule(startLSN: LSN(100), interval: .seconds(1))
    }

    @Test func theFirstStatusGoesOutAtOnceAndConfirmsWhatIsRecorded() {
        var schedule = Self.schedule()
        #expect(schedule.timeUntilDue(at: Self.start) == .zero)
        let status = schedule.due(at: Self.start, recordedLSN: LSN(90))
        #expect(status == Status(writtenLSN: LSN(100), flushedLSN: LSN(90)))
        #expect(schedule.confirmedLSN == LSN(90))
    }

    @Test func withNothingNewFlushIsZeroAndWriteIsWhatWasReceived() {
        var schedule = Self.schedule()
        _ = schedule.due(at: Self.start, recordedLSN: LSN(90))
        schedule.received(LSN(140))
        schedule.received(LSN(120))
        schedule.received(.invalid)
        #expect(schedule.due(at: Self.at(999), recordedLSN: LSN(90)) == nil)
        #expect(schedule.timeUntilDue(at: Self.at(999)) == .milliseconds(1))
        let status = schedule.due(at: Self.at(1000), recordedLSN: LSN(90))
        #expect(status == Status(writtenLSN: LSN(140), flushedLSN: .invalid))
        #expect(schedule.confirmedLSN == LSN(90))
    }

    @Test func whatIsNewlyRecordedGoesOutAtOnceAndOnce() {
        var schedule = Self.schedule()
        _ = schedule.due(at: Self.start, recordedLSN: LSN(90))
        let status = schedule.due(at: Self.at(1), recordedLSN: LSN(95))
        #expect(status == Status(writtenLSN: LSN(100), flushedLSN: LSN(95)))
        #expect(schedule.due(at: Self.at(2), recordedLSN: LSN(95)) == nil)
        // A record that was read back older confirms nothing.
        #expect(schedule.due(at: Self.at(3), recordedLSN: LSN(80)) == nil)
        #expect(schedule.confirmedLSN == LSN(95))
    }

    /// A fast shutdown waits until what is written is what was sent: a damaged position must not stand for ever.
    @Test func aKeepalivesPositionIsTakenAsItIs() {
        var schedule = Self.schedule()
        _ = schedule.due(at: Self.start, recordedLSN: LSN(90))
        schedule.keepalive(LSN(1 << 40))
        #expect(schedule.due(at: Self.at(1000), recordedLSN: LSN(90))?.writtenLSN == LSN(1 << 40))
        schedule.keepalive(LSN(140))
        #expect(schedule.due(at: Self.at(2000), recordedLSN: LSN(90))?.writtenLSN == LSN(140))
    }

    @Test func aRequestIsAnsweredAtOnceWhenThereIsSomethingToSay() {
        var schedule = Self.schedule()
        _ = schedule.due(at: Self.start, recordedLSN: LSN(90))
        schedule.received(LSN(150))
        schedule.replyRequested()
        #expect(schedule.due(at: Self.at(1), recordedLSN: LSN(90))?.writtenLSN == LSN(150))
    }

    @Test func aServerThatAsksWithoutEndIsAnsweredTenTimesASecond() {
        var schedule = Self.schedule()
        _ = schedule.due(at: Self.start, recordedLSN: LSN(90))
        var count = 0
        for millisecond in 1...1000 {
            schedule.replyRequested()
            #expect(schedule.timeUntilDue(at: Self.at(Int64(millisecond))) <= StandbyStatusSchedule.answerInterval)
            if schedule.due(at: Self.at(Int64(millisecond)), recordedLSN: LSN(90)) != nil { count += 1 }
        }
        #expect(count == 10)
    }

    @Test func aRequestNeverPutsOffTheTimer() {
        var schedule = StandbyStatusSchedule(startLSN: LSN(100), interval: .milliseconds(50))
        _ = schedule.due(at: Self.start, recordedLSN: LSN(90))
        schedule.replyRequested()
        #expect(schedule.timeUntilDue(at: Self.at(1)) == .milliseconds(49))
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func neverConfirmsBeyondWhatIsRecordedAndNeverFallsSilent(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var schedule = Self.schedule()
        var recorded: UInt64 = 90
        var told: UInt64 = 0
        var now = Self.start
        var lastStatusAt = now
        for _ in 0..<20_000 {
            now = now + .milliseconds(Int64.random(in: 0...30, using: &random))
            if Int.random(in: 0..<5, using: &random) == 0 { recorded += UInt64.random(in: 0...3, using: &random) }
            if Bool.random(using: &random) { schedule.received(LSN(UInt64.random(in: 100...200_000, using: &random))) }
            if Bool.random(using: &random) { schedule.replyRequested() }
            if let status = schedule.due(at: now, recordedLSN: LSN(recorded)) {
                #expect(status.flushedLSN == (recorded > told ? LSN(recorded) : .invalid), "seed \(seed)")
                #expect(status.writtenLSN >= status.flushedLSN)
                told = max(told, recorded)
                lastStatusAt = now
            }
            #expect(now.duration(since: lastStatusAt) < .seconds(1), "seed \(seed)")
            #expect(schedule.confirmedLSN == LSN(told), "seed \(seed)")
        }
    }
}
