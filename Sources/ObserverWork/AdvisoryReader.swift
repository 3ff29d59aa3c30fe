import Capture
import CoreMetrics
import FoundationEssentials
import Glibc
import History
import JetStreamPublishing
import Logging
import Observing
import Synchronization
import Threads
import WAL

/// Makes dead letters of events that the server does not deliver any more, though nobody has answered: it says so once, in an advisory, which a stream keeps.
final class AdvisoryReader: Sendable {
    /// What the server says. Source: nats-server, `JSConsumerDeliveryExceededAdvisory`.
    private struct Advisory: Decodable {
        var stream: String
        var consumer: String
        var streamSeq: UInt64
        var deliveries: Int
        var timestamp: String?

        enum CodingKeys: String, CodingKey {
            case stream, consumer, deliveries, timestamp
            case streamSeq = "stream_seq"
        }
    }

    private static let readTime = Duration.milliseconds(500)
    private static let room = 16
    /// After what went wrong, and for an event that is still worked on here.
    private static let retryDelay = Duration.seconds(2)

    private let configuration: WorkerConfiguration
    private let state: WorkerState
    private let board: WorkBoard
    private let keeper: WorkerKeeper
    /// The consumer's.
    private let maxDeliver: Int
    private let failpoints: Failpoints
    private let logger: Logger
    private let isStopped = Atomic<Bool>(false)

    init(
        _ configuration: WorkerConfiguration, _ state: WorkerState, _ board: WorkBoard, _ keeper: WorkerKeeper, maxDeliver: Int,
        failpoints: Failpoints, logger: Logger
    ) {
        self.configuration = configuration
        self.state = state
        self.board = board
        self.keeper = keeper
        self.maxDeliver = maxDeliver
        self.failpoints = failpoints
        self.logger = logger
    }

    /// Begins, on a thread of its own.
    func start(over connection: JetStreamConnection) throws(StreamerError) {
        do throws(SystemError) {
            try OwnedThread(name: "advisories") { [self] in
                run(connection)
                state.ended("advisories")
            }.detach()
        } catch {
            throw .system(error.message)
        }
    }

    /// Ends it; the thread may take a moment more.
    func stop() { isStopped.store(true, ordering: .releasing) }

    private func run(_ connection: JetStreamConnection) {
        var reader: DurableReader?
        while !isStopped.load(ordering: .acquiring) {
            state.turned("advisories")
            do throws(JetStreamError) {
                let open = try opened(reader, connection)
                reader = open
                let event = try open.next(room: Self.room, of: Self.room, timeout: Self.readTime)
                state.mended(.advisories)
                guard case .message(let message) = event else { continue }
                try handle(message, connection)
            } catch {
                if isStopped.load(ordering: .acquiring) { return }
                if case .connectionClosed = error { return }
                state.tell(.advisories, "the server's advisories cannot be read now", error, ["stream": "\(configuration.advisoryStream)"])
                usleep(useconds_t(Self.readTime / .microseconds(1)))
            }
        }
    }

    private func opened(_ reader: DurableReader?, _ connection: JetStreamConnection) throws(JetStreamError) -> DurableReader {
        if let reader { return reader }
        return try connection.openDurable(configuration.advisoryStream, configuration.consumer)
    }

    private func handle(_ message: DeliveredMessage, _ connection: JetStreamConnection) throws(JetStreamError) {
        guard let advisory = try? JSONDecoder().decode(Advisory.self, from: Data(message.stored.payload)),
            advisory.stream == configuration.stream, advisory.consumer == configuration.consumer
        else { return try connection.tell(.terminated, to: message.reply) }
        switch board.known(advisory.streamSeq) {
        // It may yet end well, here. One that was given up is told of by its advisory.
        case .held(let job) where job.isGivenUp: return job.redelivered(message, in: state.session)
        case .held, .other: return try connection.tell(.again(after: Self.retryDelay), to: message.reply)
        // It has ended well, or as a dead letter of its own.
        case .done: return try connection.confirm(.done, to: message.reply)
        case nil: break
        }
        do throws(JetStreamError) {
            if try goesOn(with: advisory, message, connection) { return }
            failpoints.reached(.beforeDeadLetter)
            let letter = try letter(advisory, connection)
            if let letter, try DeadLetterBox(configuration, over: connection).put(letter) {
                state.meters.counters(WorkerMeters.Key(observer: WorkerMeters.none, action: WorkerMeters.none)).failed.increment()
                logger.error(
                    "an event has used up its deliveries: its worker died or hung each time, and the event becomes a dead letter",
                    metadata: [
                        "sequence": .stringConvertible(advisory.streamSeq), "event_id": "\(letter.eventID)",
                        "deliveries": .stringConvertible(advisory.deliveries),
                    ])
            }
            // Older servers count it as pending for ever.
            try connection.tell(.done, to: configuration.acknowledgementSubject(of: advisory.streamSeq, deliveries: advisory.deliveries))
            try connection.confirm(.done, to: message.reply)
        } catch {
            try? connection.tell(.again(after: Self.retryDelay), to: message.reply)
            throw error
        }
    }

    /// An event that a stopping worker has handed back has not failed: it is worked on, and its advisory stands for it with the server.
    /// - Returns: Whether it is one.
    private func goesOn(
        with advisory: Advisory, _ message: DeliveredMessage, _ connection: JetStreamConnection
    ) throws(JetStreamError) -> Bool {
        // Tried as often as any other.
        guard message.deliveryCount <= max(1, maxDeliver), try keeper.returned(over: connection).contains(advisory.streamSeq),
            let stored = try connection.message(configuration.stream, sequence: advisory.streamSeq)
        else { return false }
        let delivered = DeliveredMessage(
            stored: stored, reply: message.reply, deliveryCount: message.deliveryCount, pendingCount: message.pendingCount)
        let session = state.session
        _ = board.admit(stored) {
            EventJob(
                delivered, event: EventJob.event(in: stored, of: configuration.stream), at: .now, session: session, isGivenUp: true)
        }
        return true
    }

    /// nil: the message is a marker of Slotstream's own.
    private func letter(_ advisory: Advisory, _ connection: JetStreamConnection) throws(JetStreamError) -> DeadLetter? {
        let message = try connection.message(configuration.stream, sequence: advisory.streamSeq)
        if let message, state.isMarker(message.subject) { return nil }
        let event = message.flatMap { EventJob.event(in: $0, of: configuration.stream) }
        let eventID = event?.id ?? message?.messageID ?? "\(configuration.stream).\(advisory.streamSeq)"
        return DeadLetter(
            id: DeadLetter.id(eventID: eventID, consumer: configuration.consumer, observer: nil), eventID: eventID, stream: configuration.stream,
            sequence: advisory.streamSeq, subject: message?.subject ?? "", consumer: configuration.consumer, observer: nil, action: nil,
            reason: .maxDeliver,
            error: message == nil
                ? "the server has delivered the event \(advisory.deliveries) times without an answer, and the stream does not hold the event any more"
                : "the server has delivered the event \(advisory.deliveries) times without an answer: the worker died or hung each time",
            attempts: 0, deliveries: advisory.deliveries, firstAt: nil, lastAt: advisory.timestamp, payload: message?.payload)
    }
}
