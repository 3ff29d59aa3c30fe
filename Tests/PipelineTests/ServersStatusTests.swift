import History
import JetStreamPublishing
import PostgresReplication
import Testing
import WAL

@testable import Pipeline

@Suite struct ServersStatusTests {
    private let now = PostgresTimestamp(rfc3339: "2026-11-23T12:00:00Z") ?? PostgresTimestamp(0)

    private let stop = LastStop(
        slot: "s", reason: .poisonEvent, at: "2026-11-23T11:56:00.000000+00:00", message: "public.payments: 2.2 MB > 1 MB",
        remedy: "Nothing was skipped. 1. Raise max_payload. 2. Start the streamer: `slotstream run`", eventsPerSecond: 310, version: "0.1.0")

    private func servers(_ change: (inout ServersStatus) -> Void) -> ServersStatus {
        var servers = ServersStatus(slot: "s", stream: "n")
        change(&servers)
        return servers
    }

    private func running(_ role: StreamerStatus.Role = .active) -> StreamerStatus {
        StreamerStatus(
            role: role, live: true, ready: true, reasons: [], source: StreamerStatus.Source(slot: "s"), stream: StreamerStatus.Stream(name: "n"))
    }

    @Test func theLastStopIsToldWithItsStepsWhereNobodyStreams() {
        let status = servers {
            $0.outlook = .goesOn
            $0.lastStop = stop
        }.concluded(with: nil, at: now)
        #expect(status.lastStop == stop)
        #expect(status.lastError == StreamerStatus.LastError(reason: "poison_event", at: stop.at, message: stop.message))
        #expect(status.next == ["Nothing was skipped", "1. Raise max_payload", "2. Start the streamer: `slotstream run`"])
        #expect(!status.isHealthy)
    }

    @Test func whoStreamsHasNoLastStop() {
        let status = servers { $0.lastStop = stop }.concluded(with: running(), at: now)
        #expect(status.lastStop == nil && status.lastError == nil && status.next == nil && status.isHealthy)
    }

    @Test func whatWouldStopAStreamerNowGoesBeforeWhatStoppedTheLastOne() {
        let status = servers {
            $0.outlook = .stops(.slotMissing, what: "slot s does not exist", remedy: "Go on behind the gap: `slotstream slot advance --accept-gap --by NAME`")
            $0.lastStop = stop
        }.concluded(with: nil, at: now)
        #expect(status.lastError == StreamerStatus.LastError(reason: "slot_missing", at: now.description, message: "slot s does not exist"))
        #expect(status.lastStop == stop)
        #expect(status.next?.first?.contains("--accept-gap") == true)
    }

    @Test func theSameReasonHasTheTimeOfTheStop() {
        let status = servers {
            $0.outlook = .stops(.poisonEvent, what: "again", remedy: "Mend the event")
            $0.lastStop = stop
        }.concluded(with: nil, at: now)
        #expect(status.lastError?.at == stop.at && status.lastError?.message == "again")
    }

    @Test func whereNothingIsKnownOfATroubleTheStreamerIsToBeStarted() {
        #expect(servers { $0.outlook = .goesOn }.concluded(with: nil, at: now).next == ["Start the streamer: `slotstream run`"])
        #expect(servers { $0.outlook = .firstStart }.concluded(with: nil, at: now).next?.first?.contains("`slotstream run`") == true)
    }

    @Test func whoStreamsAndHasTroubleIsExamined() {
        var troubled = running()
        troubled.reasons = ["not connected to NATS, or resynchronising"]
        #expect(servers { _ in }.concluded(with: troubled, at: now).next == ["Find the cause: `slotstream check`"])
    }

    @Test func aServerThatDoesNotAnswerIsWhatIsToBeSeenTo() {
        let status = servers {
            $0.failures = [.jetStream(.timedOut(operation: "the stream's state"))]
            $0.lastStop = stop
        }.concluded(with: nil, at: now)
        #expect(status.reasons.count == 1)
        #expect(status.next == ["Check transport.nats.url, nats-server and the stream's leader"])
    }

    @Test func anotherStreamersEndpointIsNotTakenForOurs() {
        var other = running()
        other.source.slot = "other"
        #expect(servers { $0.outlook = .goesOn }.concluded(with: other, at: now).role == .stopped)
    }

    // MARK: - How long until something is full

    private func source(safe: Int64? = nil, free: UInt64? = nil) -> StreamerStatus.Source {
        var source = StreamerStatus.Source(slot: "s")
        source.safeBytes = safe
        source.diskFreeBytes = free
        return source
    }

    private func rates(_ walBytesPerSecond: Double?) -> StreamerStatus.Rates {
        StreamerStatus.Rates(walBytesPerSecond: walBytesPerSecond, seconds: 60)
    }

    @Test func theNearerOfLimitAndDiskIsReckonedWith() {
        #expect(source(safe: 1_000, free: 500).secondsUntilFull(rates(10)) == 50)
        #expect(source(safe: 1_000).secondsUntilFull(rates(10)) == 100)
        #expect(source(safe: -5, free: 500).secondsUntilFull(rates(10)) == 0)
    }

    @Test func whatIsNotKnownIsNotGuessed() {
        #expect(source().secondsUntilFull(rates(10)) == nil)
        #expect(source(safe: 1_000).secondsUntilFull(nil) == nil)
        #expect(source(safe: 1_000).secondsUntilFull(rates(nil)) == nil)
        #expect(source(safe: 1_000).secondsUntilFull(rates(0.5)) == nil)
    }

    private func stream(_ change: (inout StreamerStatus.Stream) -> Void) -> StreamerStatus.Stream {
        var stream = StreamerStatus.Stream(name: "n")
        stream.messages = 100
        stream.bytes = 1_000
        stream.firstTime = "2026-11-23T11:58:20Z"
        change(&stream)
        return stream
    }

    @Test func aStreamGrowsAsItDid() {
        // 10 bytes and 1 message a second.
        #expect(stream { $0.maxBytes = 5_000 }.secondsUntilFull(at: now) == 400)
        #expect(stream { $0.maxMessages = 150 }.secondsUntilFull(at: now) == 50)
        #expect(stream { $0.maxBytes = 5_000; $0.maxMessages = 150 }.secondsUntilFull(at: now) == 50)
        #expect(stream { $0.maxBytes = 1_005 }.secondsUntilFull(at: now) == 0)
    }

    @Test func aStreamThatAgeKeepsSmallIsNeverFull() {
        #expect(stream { $0.maxBytes = 5_000; $0.maxAgeSeconds = 300 }.secondsUntilFull(at: now) == nil)
        #expect(stream { $0.maxBytes = 5_000; $0.maxAgeSeconds = 600 }.secondsUntilFull(at: now) == 400)
        #expect(stream { _ in }.secondsUntilFull(at: now) == nil)
        #expect(stream { $0.maxBytes = 5_000; $0.firstTime = "2026-11-23T11:59:55Z" }.secondsUntilFull(at: now) == nil)
        #expect(stream { $0.maxBytes = 5_000; $0.messages = 0 }.secondsUntilFull(at: now) == nil)
    }

    // MARK: - Watching

    @Test func ratesAreWhatCameSinceTheLastReading() {
        func reading(_ sequence: UInt64?, _ lsn: String?) -> StreamerStatus {
            var status = running()
            status.stream.lastSequence = sequence
            status.source.walLsn = lsn
            return status
        }
        let later = reading(120, "0/200")
        #expect(later.rates(since: reading(100, "0/100"), seconds: 2) == StreamerStatus.Rates(eventsPerSecond: 10, walBytesPerSecond: 128, seconds: 2))
        #expect(later.rates(since: reading(nil, "0/100"), seconds: 2)?.eventsPerSecond == nil)
        #expect(later.rates(since: reading(200, "0/300"), seconds: 2) == nil)
    }
}
