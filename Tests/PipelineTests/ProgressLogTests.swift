import History
import JetStreamPublishing
import Logging
import PostgresReplication
import Synchronization
import Testing
import Threads
import WAL

@testable import Pipeline

@Suite struct ProgressLogTests {
    private let observations = Observations(slot: "s", stream: "n", readyMaxLagBytes: 0, metrics: RecordingMetrics())

    private func line(afterMinute progress: inout ProgressLog) -> (message: String, fields: [String: String]) {
        let (message, metadata) = progress.line(at: .now + .seconds(60))
        return (message, metadata.mapValues { "\($0)" })
    }

    private func see(_ end: UInt64, confirmed: UInt64) {
        observations.saw(
            SlotState(name: "s", restartLSN: LSN(100), confirmedFlushLSN: LSN(confirmed), currentWALLSN: LSN(end)))
    }

    @Test func tellsRateLagWALAndSequence() {
        var progress = ProgressLog(observations)
        see(156, confirmed: 156)
        observations.texts.withLock { texts in
            texts.isSlotHeld = true
            texts.isNATSConnected = true
        }
        observations.eventCount.store(18_600, ordering: .relaxed)
        observations.lastSequence.store(120_059, ordering: .relaxed)
        let (message, fields) = line(afterMinute: &progress)
        #expect(message == "still streaming")
        #expect(fields == ["events": "310/s", "lag": "0.0s", "behind": "0B", "wal_held": "56B", "stream_seq": "120059"])
        observations.storedMemory.withLock { memory in
            for _ in 0..<99 { memory.times.count(microseconds: 3_600) }
            memory.times.count(microseconds: 2_000_000)
        }
        let times = progress.line(at: .now + .seconds(90)).metadata
        #expect(times["stored_p99"].map { "\($0)" } == "4ms")
        // Only what came since.
        let next = progress.line(at: .now + .seconds(120)).metadata
        #expect(next["events"] == "0.0/s" && next["stored_p99"] == nil)
    }

    @Test func tellsWhomItWaitsForAndWhy() {
        var progress = ProgressLog(observations)
        let atFirst = line(afterMinute: &progress).message
        see(5_000_100, confirmed: 100)
        let seen = line(afterMinute: &progress).message
        #expect([atFirst, seen] == ["still waiting for PostgreSQL", "still starting"])
        _ = observations.disconnected(by: .jetStream(.notConnected("gone")), isStandingBy: false)
        observations.failed("unreachable", "gone")
        let (message, fields) = line(afterMinute: &progress)
        #expect(message == "still waiting for NATS")
        #expect(fields["error"] == "gone" && fields["behind"] == "4.8MiB" && fields["lag"] == nil && fields["stream_seq"] == nil)
        _ = observations.disconnected(by: .slotActive(SlotHolder(pid: 1)), isStandingBy: true)
        let atLast = line(afterMinute: &progress).message
        #expect(atLast == "still standing by")
    }

    @Test(arguments: [(0.000_03, "0.0ms"), (0.000_4, "0.4ms"), (0.004, "4ms"), (0.25, "250ms"), (1.24, "1.2s"), (3600, "3600.0s")])
    func timesAreShort(_ seconds: Double, _ text: String) {
        #expect(ProgressLog.time(seconds) == text)
    }

    @Test func aBacklogIsToldOnceWhenItIsStored() {
        let start = Instant.now
        var backlog = Backlog(from: LSN(100), to: LSN(1_100), eventCount: 7, at: start)
        let early = backlog.stored(upTo: LSN(1_099), eventCount: 500, at: start + .seconds(1))
        let done = backlog.stored(upTo: LSN(1_100), eventCount: 507, at: start + .seconds(2))
        #expect(done == Backlog.Done(byteCount: 1_000, eventCount: 500, time: .seconds(2)))
        let again = backlog.stored(upTo: LSN(1_200), eventCount: 600, at: start + .seconds(3))
        #expect(early == nil && again == nil)
    }

    @Test func aBacklogWithoutEventsIsToldIfItTookLong() {
        let start = Instant.now
        for (seconds, isTold) in [(1, false), (60, true)] {
            var backlog = Backlog(from: LSN(100), to: LSN(1_100), eventCount: 0, at: start)
            let done = backlog.stored(upTo: LSN(1_100), eventCount: 0, at: start + .seconds(seconds))
            #expect((done != nil) == isTold)
        }
    }
}
