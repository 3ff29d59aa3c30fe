import Capture
import History
import JetStreamPublishing
import Pipeline
import Threads
import WAL

/// The streamer's end of a connection to the model of JetStream.
///
/// Each call is a step at which the process may be killed, and others have their turn; what asks and waits fails where the link is down.
// Sendable because one thread runs all of a simulation.
final class StreamModel: StreamPort, StreamReader, @unchecked Sendable {
    private let process: Process
    private let link: ModelLink
    /// The strand that calls: the one that reads until the one that publishes has begun.
    var strand: Strand
    private var world: World { process.world }
    private var jetStream: ModelJetStream { process.world.jetStream }

    init(_ process: Process, _ strand: Strand, _ link: ModelLink) {
        self.process = process
        self.strand = strand
        self.link = link
    }

    private var historyNumber: Int { process.walsender?.historyNumber ?? world.server.historyNumber }

    // MARK: - Publishing

    func publish(
        subject: Span<UInt8>, messageID: Span<UInt8>, payload: Span<UInt8>, expectedLastSequence: UInt64,
        token: UInt64, epoch: UInt32, previousMessageID: Span<UInt8>?
    ) throws(JetStreamError) {
        process.pass(strand)
        try requireLife()
        let number = messageID.withUnsafeBufferPointer { id in
            payload.withUnsafeBufferPointer { world.published($0, id) }
        }
        guard let number else { return }
        let previous = previousMessageID?.withUnsafeBufferPointer { world.number(of: $0) }
        let message = Publish(
            content: .change(number), expectedSequence: world.plant.expects(expectedLastSequence), previousNumber: previous ?? nil,
            token: token, epoch: epoch, wasStored: !world.changes[number].sequences.isEmpty, sender: process.number, historyNumber: historyNumber)
        try link.send(message)
        process.pass(strand)
    }

    func publish(
        subject: Span<UInt8>, messageID: Span<UInt8>, payload: Span<UInt8>, expectedLastSequence: UInt64,
        token: UInt64, epoch: UInt32, batch: BatchMember
    ) throws(JetStreamError) {
        throw .client(status: "no batches here", operation: "publish")
    }

    func publish(
        subject: Span<UInt8>, messageID: Span<UInt8>, payload: Span<UInt8>, expectedLastSequence: UInt64,
        epoch: UInt32, fastBatch: FastBatchMember
    ) throws(JetStreamError) {
        throw .client(status: "no batches here", operation: "publish")
    }

    func endFastBatch(base: UInt64, ordinal: UInt64, subject: Span<UInt8>, epoch: UInt32) throws(JetStreamError) {
        throw .client(status: "no batches here", operation: "publish")
    }

    func sendBuffered() { process.pass(strand) }

    func flush(timeout: Duration) throws(JetStreamError) {
        let end = process.now + timeout.wholeNanoseconds
        while link.hasMessage, process.now < end { strand.wait(until: process.now + 1_000_000) }
        try requireLife()
        if !link.isUp { throw .notConnected("the link is down") }
        if link.hasMessage { throw .timedOut(operation: "flush") }
    }

    // MARK: - What comes back

    func beginEpoch(_ epoch: UInt32) { link.mailbox.beginEpoch(epoch) }

    func drainAcks(into batch: inout AckBatch) {
        process.pass(strand)
        link.mailbox.drain(into: &batch)
    }

    func takeEvents() -> [ConnectionEvent] { link.takeEvents() }

    var isConnected: Bool { !process.isDead && link.isUp }

    func connectBeside(
        _ options: JetStreamConnectionOptions, stream: String, isWanted: () -> Bool
    ) throws(StreamerError) {}

    func wait(timeout: Duration) {
        guard !process.isDead else { return }
        strand.wait(until: world.now + timeout.wholeNanoseconds)
    }

    var now: Instant { Instant(nanoseconds: process.now) }

    var wallClock: PostgresTimestamp { PostgresTimestamp(unixMicroseconds: Int64(process.now / 1_000)) }

    func random() -> UInt64 { world.random.next() }

    // MARK: - Asking

    var reader: StreamModel { self }

    /// A question takes a while, and may have no answer.
    private func ask(_ operation: String) throws(JetStreamError) {
        process.pass(strand)
        try requireLife()
        guard link.isUp else { throw .notConnected("the link is down") }
        if !jetStream.hasLeader {
            strand.wait(until: world.now + 500_000_000)
            try requireLife()
            if !jetStream.hasLeader { throw .noResponders(operation: operation) }
        }
    }

    private func requireLife() throws(JetStreamError) {
        if process.isDead || link.isClosed { throw .connectionClosed("the process is dead") }
    }

    func streamInfo(_ name: String) throws(JetStreamError) -> StreamInfo? {
        try ask("STREAM.INFO")
        return StreamInfos.info(jetStream.answering, isReplicated: world.plant.isReplicated(jetStream.version))
    }

    func lastMessage(_ stream: String) throws(JetStreamError) -> StoredMessage? {
        try ask("STREAM.MSG.GET")
        let state = jetStream.answering
        return stored(state.message(state.lastSequence), state.lastSequence)
    }

    func message(_ stream: String, sequence: UInt64) throws(JetStreamError) -> StoredMessage? {
        try ask("STREAM.MSG.GET")
        return stored(jetStream.answering.message(sequence), sequence)
    }

    private func stored(_ message: ModelJetStream.Stored?, _ sequence: UInt64) -> StoredMessage? {
        guard let message else { return nil }
        guard let number = world.plant.number(asked: message, at: sequence, world) else {
            return StoredMessage(subject: "e.stray", sequence: sequence, headers: [], payload: [])
        }
        let id = String(decoding: world.changes[number].id, as: UTF8.self)
        return StoredMessage(
            subject: "e.order.INSERT", sequence: sequence, headers: [.init(name: "Nats-Msg-Id", value: id)],
            payload: world.changes[number].payload)
    }

    func readHeaders(
        _ stream: String, _ range: ClosedRange<UInt64>, consumer: String, isWanted: () -> Bool,
        _ body: JetStreamConnection.HeaderHandler
    ) throws(JetStreamError) {
        try ask("CONSUMER")
        for sequence in range {
            if world.random.once(in: 8) { try ask("CONSUMER") }
            guard isWanted() else { return }
            let state = jetStream.answering
            guard let message = state.message(sequence) else { continue }
            let number = world.plant.number(of: message, at: sequence, in: state, world)
            let goesOn =
                if let id = number.map({ world.changes[$0].id }) { body(sequence, id.span, Self.subject.span) } else { body(sequence, nil, Self.subject.span) }
            guard goesOn else { return }
        }
    }

    private static let subject = Array("e.order.INSERT".utf8)

    func bucketGet(_ bucket: String, key: String) throws(JetStreamError) -> BucketEntry {
        try ask("KV")
        let state = jetStream.answering
        return .value(state.record, revision: state.revision)
    }

    var isStandalone: Bool? { world.schedule.namesPrevious }
    var takesAtomicBatches: Bool { false }
    var takesFastBatches: Bool { false }

    func stepDownLeader(_ stream: String) throws(JetStreamError) {
        try ask("STEPDOWN")
        jetStream.changeLeader(0)
    }

    // MARK: - The record

    func startPut(_ value: [UInt8], key: String, expectedRevision: UInt64, token: UInt64) throws(JetStreamError) {
        process.pass(strand)
        try requireLife()
        try link.send(
            Publish(
                content: .record(value, expectedRevision: world.plant.expects(revision: expectedRevision)), token: token,
                sender: process.number, historyNumber: historyNumber))
        process.pass(strand)
    }

    func put(
        _ value: [UInt8], key: String, expectedRevision: UInt64, timeout: Duration
    ) throws(JetStreamError) -> UInt64 {
        try ask("KV")
        let message = Publish(
            content: .record(value, expectedRevision: world.plant.expects(revision: expectedRevision)), sender: process.number, historyNumber: historyNumber)
        // The answer, or the put itself, may be lost.
        if world.phase == .rough, world.random.once(in: 20) {
            if world.random.once(in: 2) { _ = jetStream.publish(message) } else { world.delay([message]) }
            strand.wait(until: world.now + timeout.wholeNanoseconds)
            throw .timedOut(operation: "KV")
        }
        let answer = jetStream.publish(message)
        process.pass(strand)
        try requireLife()
        switch answer {
        case .stored(let revision): return revision
        default:
            throw .api(code: 400, errCode: JetStreamErrorCode.wrongLastSequence, description: "wrong last sequence", operation: "KV")
        }
    }
}
