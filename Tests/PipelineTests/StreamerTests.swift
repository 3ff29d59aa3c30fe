import Capture
import Foundation
import History
import JetStreamPublishing
import Logging
import PostgresReplication
import PrivateServers
import Synchronization
import Testing
import Threads
import WAL

@testable import Pipeline

/// Both threads as the program runs them, between a real PostgreSQL and a real nats-server.
@Suite(.serialized, .timeLimit(.minutes(5))) struct StreamerTests {
    private let postgres: PostgresServer
    private let nats: NatsServer

    init() throws {
        postgres = try PostgresServer()
        nats = try NatsServer(.oldest)
        let sql = try postgres.sql()
        try sql.execute("CREATE TABLE tb_item (pk int PRIMARY KEY, note text)")
        for number in 1...40 { try sql.execute("CREATE TABLE tb_part_\(number) (pk int PRIMARY KEY)") }
    }

    /// A run that ends when it is stopped or for a reason of its own.
    private final class Run: Sendable {
        let streamer: Streamer
        let observations = Observations(slot: "s", stream: "S", readyMaxLagBytes: 1 << 40, metrics: RecordingMetrics())
        private let ended = Mutex<Streamer.Outcome?>(nil)

        var outcome: Streamer.Outcome? { ended.withLock { $0 } }

        init(_ postgres: PostgresServer, _ nats: NatsServer, byteLimit: Int = 64 * 1024) throws {
            let configuration = StreamerConfiguration(
                source: StreamerConfiguration.Source(
                    connection: postgres.parameters, slot: "s", publication: "p", tables: ["public.tb_*"],
                    failover: false,
                    walSenderTimeoutMilliseconds: 60_000),
                nats: nats.options,
                stream: StreamConfiguration(
                    name: "S", subjectPrefix: "fraiseql.mutation", duplicateWindow: .seconds(1)),
                consumer: nil, capture: CaptureConfiguration(),
                captureFunctions: CaptureFunctions(hmacSHA256: nil) { _, _ in false },
                delivery: StreamerConfiguration.Delivery(
                    inFlightMessages: 128, inFlightBytes: byteLimit, ackTimeout: .seconds(2),
                    checkpointInterval: .milliseconds(50)), readyMaxLagBytes: 0)
            streamer = try Streamer(
                configuration, isSetupAllowed: true, observations: observations,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            streamer.start { outcome in self.ended.withLock { $0 = outcome } }
        }

        var eventCount: UInt64 { observations.status().counters?.events ?? 0 }

        func waitUntilStreaming() throws {
            try eventually("it streams") {
                if let outcome { throw TestFailure("it ended: \(outcome)") }
                let status = observations.status()
                return status.ready && status.role == .active
            }
        }

        func stop() throws -> Streamer.Outcome {
            streamer.stop()
            try eventually("it stops") { outcome != nil }
            guard let outcome else { throw TestFailure("it did not stop") }
            return outcome
        }
    }

    /// Ordinals by commit LSN in stored order, and whether each transaction ends with its last.
    private func stored() throws -> [MessageID] {
        let link = try nats.connect()
        defer { link.connection.close() }
        guard let last = try link.connection.streamInfo("S")?.state.lastSequence, last > 0 else { return [] }
        let reader = try link.connection.openReader("S", from: .first)
        defer { reader.close() }
        var ids: [MessageID] = []
        while let message = try reader.next(timeout: .patient) {
            ids.append(try #require(message.messageID.flatMap { MessageID($0) }))
            if message.sequence == last { break }
        }
        return ids
    }

    private func confirmedLSN() throws -> LSN? { try postgres.sql().slot(named: "s")?.confirmedFlushLSN }

    private func recordedLSN() throws -> LSN? {
        let link = try nats.connect()
        defer { link.connection.close() }
        guard case .value(let json, _) = try link.connection.bucketGet(CheckpointRecord.bucket, key: "S") else {
            return nil
        }
        return try CheckpointRecord(json: json).confirmedLSN
    }

    @Test func whatIsCommittedIsStoredOnceThroughAKillAndConfirmedAtTheStop() throws {
        let run = try Run(postgres, nats)
        try run.waitUntilStreaming()
        let sql = try postgres.sql()
        var eventCount: UInt64 = 0
        for transaction in 1...300 {
            try sql.execute(
                "INSERT INTO tb_item SELECT \(transaction) * 100 + g, repeat('x', 200) FROM generate_series(1, 10) g")
            eventCount += 10
            if transaction % 50 == 0 {
                let tables = (1...40).map { "tb_part_\($0)" }.joined(separator: ", ")
                try sql.execute("TRUNCATE \(tables)")
                eventCount += 40
            }
            if transaction == 100 {
                nats.kill()
            } else if transaction == 200 {
                try nats.start()
            }
        }
        try eventually("all is stored") { run.eventCount == eventCount }
        #expect(try run.stop().status == .done)
        let ids = try stored()
        #expect(ids.count == Int(eventCount))
        #expect(zip(ids, ids.dropFirst()).allSatisfy { $0.position < $1.position })
        let last = try #require(ids.last)
        // The walsender reads the last status when it gets to it.
        try eventually("the slot follows") { try confirmedLSN() == recordedLSN() }
        let confirmed = try #require(try confirmedLSN())
        #expect(confirmed > last.position.commitLSN)
    }

    @Test func aRestartGoesOnWhereItStopped() throws {
        var run = try Run(postgres, nats)
        try run.waitUntilStreaming()
        let sql = try postgres.sql()
        for round in 0..<4 {
            try sql.execute("INSERT INTO tb_item SELECT \(round) * 1000 + g, '' FROM generate_series(1, 50) g")
            try eventually("they are stored") { run.eventCount == 50 }
            #expect(try run.stop().status == .done)
            run = try Run(postgres, nats)
            try run.waitUntilStreaming()
            // Not behind by the whole WAL before anything new has come.
            #expect((run.observations.status().source.lagBytes ?? .max) < 1 << 20)
        }
        #expect(try run.stop().status == .done)
        #expect(try stored().count == 200)
    }

    @Test func aFastShutdownIsNotHeldUpByAFrozenNATSAndAFullWindow() throws {
        let run = try Run(postgres, nats, byteLimit: 16 * 1024)
        try run.waitUntilStreaming()
        nats.signal(SIGSTOP)
        try postgres.sql().execute("INSERT INTO tb_item SELECT g, repeat('x', 500) FROM generate_series(1, 5000) g")
        try eventually("the window is full") { (run.observations.status().inFlight?.bytes ?? 0) > 12 * 1024 }
        let began = Instant.now
        postgres.stopFast()
        try eventually("PostgreSQL has stopped") { postgres.isStopped }
        #expect(Instant.now.duration(since: began) < .seconds(30))
        nats.signal(SIGCONT)
        #expect(try run.stop().status == .done)
    }

    @Test func aStreamThatIsDeletedStopsItWithItsReason() throws {
        let run = try Run(postgres, nats)
        try run.waitUntilStreaming()
        let sql = try postgres.sql()
        try sql.execute("INSERT INTO tb_item VALUES (1, '')")
        try eventually("it is stored") { run.eventCount == 1 }
        let link = try nats.connect()
        defer { link.connection.close() }
        _ = try link.connection.request("$JS.API.STREAM.DELETE.S", [], timeout: .patient)
        try sql.execute("INSERT INTO tb_item VALUES (2, '')")
        try eventually("it stops") { run.outcome != nil }
        #expect(run.outcome?.reason == .streamMissing)
        #expect(run.outcome?.status == .lostHistory)
    }

    @Test func aSecondStreamerStandsByUntilTheFirstStops() throws {
        let first = try Run(postgres, nats)
        try first.waitUntilStreaming()
        let second = try Run(postgres, nats)
        try eventually("it stands by") { second.observations.status().role == .standby }
        // Throughout, however often it looks at the slot meanwhile.
        let end = Instant.now + .seconds(2)
        while Instant.now < end {
            let status = second.observations.status()
            try #require(status.role == .standby && status.ready)
        }
        try postgres.sql().execute("INSERT INTO tb_item SELECT g, '' FROM generate_series(1, 100) g")
        try eventually("they are stored") { first.eventCount == 100 }
        #expect(try first.stop().status == .done)
        try eventually("it takes over") { second.observations.status().role == .active }
        try postgres.sql().execute("INSERT INTO tb_item SELECT g, '' FROM generate_series(101, 200) g")
        try eventually("they are stored") { second.eventCount == 100 }
        #expect(try second.stop().status == .done)
        #expect(try stored().count == 200)
    }

    @Test func aStopWithEverythingStoredDoesNotWaitForNATS() throws {
        let run = try Run(postgres, nats)
        try run.waitUntilStreaming()
        try postgres.sql().execute("INSERT INTO tb_item VALUES (1, '')")
        try eventually("it is stored") { run.eventCount == 1 }
        nats.kill()
        // The WAL moves on, and what might be confirmed of it cannot be recorded.
        try postgres.sql().execute("CREATE TABLE other (n int)")
        try eventually("there is something to confirm") {
            let source = run.observations.status().source
            return source.storedLsn != source.confirmedLsn
        }
        #expect(try run.stop().status == .done)
    }
}
