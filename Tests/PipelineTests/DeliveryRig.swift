import Capture
import History
import HistoryFacts
import JetStreamPublishing
import Logging
import PostgresReplication
import PrivateServers
import Synchronization
import Testing
import Threads
import WAL

@testable import Pipeline

/// A delivery thread between a window that the test fills and a real nats-server; what the session would do, the test does.
// Sendable because a test drives its rig from one thread; the delivery thread has only what it has in the program.
final class DeliveryRig: @unchecked Sendable {
    static let timelines = TimelineHistory(currentTimeline: 1)

    let server: NatsServer
    let configuration: StreamerConfiguration
    let window: RetainedWindow
    let publisher: ChainedPublisher<NATSLink>
    /// What the session shares with it.
    let handover: Handover
    let observations: Observations
    /// As the session's: signalled by the delivery thread.
    let wake: WakeSignal
    let link: NATSLink
    private var thread: OwnedThread?

    init(
        _ server: NatsServer, checkpointInterval: Duration = .milliseconds(20), ackTimeout: Duration = .seconds(2),
        byteLimit: Int = 1 << 20, isAtomic: Bool = false, duplicateWindow: Duration = .seconds(60),
        isBatched: Bool = false, inFlightMessages: Int = 512
    ) throws {
        self.server = server
        configuration = StreamerConfiguration(
            source: StreamerConfiguration.Source(
                connection: ConnectionParameters(conninfo: ""), slot: "s", publication: "p", tables: [],
                failover: false,
                walSenderTimeoutMilliseconds: 3000),
            nats: server.options,
            stream: StreamConfiguration(
                name: "S", subjectPrefix: "p", duplicateWindow: duplicateWindow, allowAtomic: isAtomic,
                allowBatched: isBatched), consumer: nil,
            capture: CaptureConfiguration(),
            captureFunctions: CaptureFunctions(hmacSHA256: nil) { _, _ in false },
            delivery: StreamerConfiguration.Delivery(
                isAtomic: isAtomic, inFlightMessages: inFlightMessages, inFlightBytes: byteLimit, ackTimeout: ackTimeout,
                checkpointInterval: checkpointInterval), readyMaxLagBytes: 0)
        link = try server.connect()
        let created = try link.connection.createStream(configuration.stream).created
        try link.connection.createBucket(CheckpointRecord.bucket, replicas: 1)
        var record = RecoveryFacts.record(confirmed: LSN(1), lastID: nil, lastSequence: 0)
        record.streamCreated = created
        let revision = try link.connection.bucketPut(
            CheckpointRecord.bucket, key: "S", value: record.json(), expectedRevision: nil)
        window = RetainedWindow(byteLimit: byteLimit)
        observations = Observations(slot: "s", stream: "S", readyMaxLagBytes: 0, metrics: RecordingMetrics())
        wake = try WakeSignal()
        let link = link
        let wake = wake
        handover = Handover(
            window, record: record, storedSequence: 0, connection: link.standing,
            wakePublisher: { link.wake.signal() }, wakeSource: { wake.signal() })
        publisher = ChainedPublisher(
            PublishingStart(
                known: KnownEnd(storedSequence: 0, storedID: nil, created: created), record: record,
                revision: revision, identity: RecoveryFacts.identity, timelines: Self.timelines, replicaCount: 1,
                isAtomic: isAtomic),
            configuration: configuration, handover: handover, port: link, observations: observations,
            logger: Logger(label: "test") { StreamLogHandler.standardError(label: $0) })
    }

    deinit { stop() }

    func start() throws {
        thread = try OwnedThread(name: "delivery") { [publisher] in publisher.run() }
    }

    /// As the streamer ends it; returns when the thread has ended.
    func stop() {
        handover.stopPublisher()
        link.connection.close()
        if let thread = thread.take() { thread.join() }
    }

    static func id(_ number: UInt64) -> MessageID { RecoveryFacts.id(LSN(0x1000 + number), 1, xid: 7) }

    /// Event `number`, a transaction of its own; waits for room as the session does.
    func append(_ number: UInt64, commitTimestamp: PostgresTimestamp = .now, payloadByteCount: Int = 100) throws {
        try append(
            Self.id(number), isLast: true, commitTimestamp: commitTimestamp, payloadByteCount: payloadByteCount)
    }

    /// The `ordinal`-th event of transaction `number`.
    func append(_ number: UInt64, ordinal: UInt64, isLast: Bool, payloadByteCount: Int = 100) throws {
        try append(
            RecoveryFacts.id(LSN(0x1000 + number), ordinal, xid: 7), isLast: isLast, commitTimestamp: .now,
            payloadByteCount: payloadByteCount)
    }

    private func append(
        _ messageID: MessageID, isLast: Bool, commitTimestamp: PostgresTimestamp, payloadByteCount: Int
    ) throws {
        let payload = [UInt8](repeating: UInt8(ascii: "x"), count: payloadByteCount)
        let id = Array(messageID.description.utf8)
        try eventually("there is room") { window.hasRoom(for: payload.count + id.count + 3) }
        window.accept(
            EventHeader(
                position: messageID.position, transactionID: TransactionID(7), commitTimestamp: commitTimestamp,
                kindIndex: 0, isLast: isLast),
            subject: Array("p.x".utf8).span.bytes, messageID: id.span.bytes, payload: payload.span.bytes)
        handover.wakePublisher()
    }

    /// Publishes what a predecessor would, chained after `lastSequence`; returns when it is stored.
    func publishAsPredecessor(_ numbers: [UInt64], after lastSequence: UInt64) throws {
        let other = try server.connect()
        defer { other.connection.close() }
        let payload: [UInt8] = []
        for (index, number) in numbers.enumerated() {
            let sequence = lastSequence + UInt64(index)
            try other.connection.publish(
                subject: Array("p.x".utf8).span, messageID: Array(Self.id(number).description.utf8).span,
                payload: payload.span, expectedLastSequence: sequence, token: sequence + 1, epoch: 0)
        }
        try other.connection.flush(timeout: .patient)
        try eventually("the predecessor's messages are stored") {
            try other.connection.streamInfo("S")?.state.lastSequence == lastSequence + UInt64(numbers.count)
        }
    }

    /// Publishes what somebody else would.
    func publishStray() throws {
        _ = try link.connection.request("p.stray", Array("{}".utf8), timeout: .patient)
    }

    /// The numbers of the stored events, in stored order; strays are passed over.
    func storedNumbers() throws -> [UInt64] {
        let other = try server.connect()
        defer { other.connection.close() }
        guard let state = try other.connection.streamInfo("S")?.state, state.lastSequence > 0 else { return [] }
        let reader = try other.connection.openReader("S", from: .first)
        defer { reader.close() }
        var numbers: [UInt64] = []
        while let message = try reader.next(timeout: .patient) {
            if let id = message.messageID.flatMap({ MessageID($0) }) {
                numbers.append(id.position.commitLSN.rawValue - 0x1000)
            }
            if message.sequence == state.lastSequence { break }
        }
        return numbers
    }

    func storedRecord() throws -> CheckpointRecord {
        let other = try server.connect()
        defer { other.connection.close() }
        guard case .value(let json, _) = try other.connection.bucketGet(CheckpointRecord.bucket, key: "S") else {
            throw TestFailure("there is no record")
        }
        return try CheckpointRecord(json: json)
    }

    var failure: StreamerError? { handover.failure.withLock { $0 } }
}
