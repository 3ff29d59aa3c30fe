import Foundation
import PrivateServers
import Synchronization
import Testing

@testable import JetStreamPublishing

/// A connection with its mailbox, all that came out of it, and all events.
final class TestClient: Sendable {
    static let stream = "events"
    static let epoch: UInt32 = 7

    private struct Seen {
        var stored: Set<UInt64> = []
        var outcomes: [PublishOutcome] = []
        var staleAckCount = 0
        var droppedCount = 0
        var batch = AckBatch()
    }

    let mailbox: AckMailbox
    let connection: JetStreamConnection
    private let seen = Mutex(Seen())
    private let log: EventLog

    init(_ options: JetStreamConnectionOptions) throws {
        let log = EventLog()
        mailbox = AckMailbox(stream: Self.stream, controlStream: "KV_state") {}
        mailbox.beginEpoch(Self.epoch)
        connection = try JetStreamConnection(options, mailbox: mailbox) { log.append($0) }
        self.log = log
    }

    /// Connects, waits for JetStream, and creates the stream.
    convenience init(_ server: NatsServer, stream: Bool = true) throws {
        try self.init(Self.options(server))
        guard stream else { return }
        try createStream()
    }

    static func options(_ server: NatsServer) -> JetStreamConnectionOptions { options(urls: [server.url]) }

    /// With limits that a machine which stands still for a moment does not reach: whoever tests them sets their own.
    static func options(urls: [String]) -> JetStreamConnectionOptions {
        var options = JetStreamConnectionOptions(urls: urls)
        options.connectTimeout = .seconds(20)
        options.writeDeadline = .seconds(20)
        return options
    }

    var events: [ConnectionEvent] { log.events }

    func createStream(atomic: Bool = false, batched: Bool = false) throws {
        try retrying {
            _ = try connection.createStream(
                StreamConfiguration(
                    name: Self.stream, subjectPrefix: "shop", duplicateWindow: .seconds(120), maxBytes: 500_000_000,
                    allowAtomic: atomic, allowBatched: batched))
        }
    }

    /// Publishes the message that is to be stored at `sequence`.
    func publish(
        _ sequence: UInt64, expecting last: UInt64? = nil, id: String? = nil, subject: String = "shop.Order.INSERT",
        payload: [UInt8]? = nil, epoch: UInt32 = TestClient.epoch
    ) throws(JetStreamError) {
        let subject = Array(subject.utf8)
        let id = Array((id ?? "id-\(sequence)").utf8)
        let payload = payload ?? Array("payload \(sequence)".utf8)
        try connection.publish(
            subject: subject.span, messageID: id.span, payload: payload.span,
            expectedLastSequence: last ?? sequence - 1, token: sequence, epoch: epoch)
    }

    /// Publishes the messages that are to be stored at `sequences`, one after another.
    func publish(_ sequences: ClosedRange<UInt64>) throws {
        for sequence in sequences { try publish(sequence) }
    }

    /// Drains the mailbox.
    private func drain() {
        seen.withLock { seen in
            mailbox.drain(into: &seen.batch)
            for range in seen.batch.stored { seen.stored.formUnion(range.first...range.last) }
            seen.outcomes += seen.batch.outcomes
            seen.staleAckCount += seen.batch.staleAckCount
            seen.droppedCount += seen.batch.droppedCount
        }
    }

    /// The tokens that are stored so far.
    var stored: Set<UInt64> {
        drain()
        return seen.withLock { $0.stored }
    }

    /// All other outcomes so far.
    var outcomes: [PublishOutcome] {
        drain()
        return seen.withLock { $0.outcomes }
    }

    var staleAckCount: Int {
        drain()
        return seen.withLock { $0.staleAckCount }
    }

    var droppedCount: Int {
        drain()
        return seen.withLock { $0.droppedCount }
    }

    func awaitStored(_ tokens: ClosedRange<UInt64>) throws {
        let wanted = Set(tokens)
        try eventually("\(tokens) stored, other outcomes: \(outcomes.prefix(3))") { stored.isSuperset(of: wanted) }
    }

    func awaitEvent(_ what: String, after count: Int = 0, _ matches: (ConnectionEvent) -> Bool) throws {
        try eventually("\(what) among \(events)") { events.dropFirst(count).contains(where: matches) }
    }
}

/// The events of a connection.
final class EventLog: Sendable {
    private let list = Mutex<[ConnectionEvent]>([])

    var events: [ConnectionEvent] { list.withLock { $0 } }

    func append(_ event: ConnectionEvent) { list.withLock { $0.append(event) } }
}

/// Tries again while the server says that it is not ready.
func retrying<Value>(_ body: () throws -> Value) throws -> Value {
    let deadline = ContinuousClock.now + .seconds(20)
    while true {
        do {
            return try body()
        } catch let error as JetStreamError where error.isTransient && ContinuousClock.now < deadline {
            usleep(10_000)
        }
    }
}

extension ConnectionEvent {
    var isDisconnected: Bool { if case .disconnected = self { true } else { false } }
    var isReconnected: Bool { if case .reconnected = self { true } else { false } }
    var isClosed: Bool { if case .closed = self { true } else { false } }
}
