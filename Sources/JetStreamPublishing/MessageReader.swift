import Glibc

/// Reads a stream in order, for people and for checks: `tail`, `verify`, `replay`.
///
/// It pulls through an ephemeral consumer that wants no acks. Whatever goes wrong with that — a reconnect, a server that
/// restarted, a message missing from the run — it makes another one after the last message it gave out, so that none is
/// skipped and none given twice. Belongs to one thread.
public final class MessageReader {
    /// Where to begin.
    public enum Start: Sendable, Hashable {
        /// At the first message that is still there.
        case first
        /// What is stored after the reader was opened.
        case new
        /// At this sequence, or the first after it that is there.
        case sequence(UInt64)
        /// RFC 3339.
        case time(String)
    }

    /// After this the server drops a consumer that nobody pulls from.
    static let inactiveThreshold: Duration = .seconds(30)
    /// How many messages are asked for at a time, by what those before them took: what bounds the memory.
    private static let pullCounts = 64...1_024
    private static let pullByteCount = 4 << 20
    /// How long the server keeps a pull open.
    private static let pullExpiry: Duration = .seconds(5)
    /// How long a pull may stay silent beyond its expiry before the consumer counts as lost.
    private static let pullGrace: Duration = .seconds(2)
    /// Between attempts, while the server does not answer.
    private static let retryWait: Duration = .milliseconds(50)

    private struct Pull {
        var consumer: String
        var inbox: Inbox
        /// Which connect it was made under: the consumer does not outlive its server.
        var connectCount: UInt64
        var isOpen = false
        var expectedCount = 0
        var lastConsumerSequence: UInt64 = 0
        var deadline: ContinuousClock.Instant = .now
    }

    /// A pull's inbox, boxed since a struct in an optional cannot hold a noncopyable value and be copied.
    private final class Inbox {
        let reader: InboxReader
        init(_ reader: consuming InboxReader) { self.reader = reader }
    }

    private let connection: JetStreamConnection
    private let stream: String
    private let filter: String?
    private var start: Start
    private var pull: Pull?
    /// What a message takes, the newest counting most; no message is less than its headers.
    private var averageByteCount = pullByteCount / pullCounts.lowerBound
    /// How many messages there were still to be read at the last look, by the server's own count; nil: it has not been asked yet.
    public private(set) var pendingCount: UInt64?

    fileprivate init(_ connection: JetStreamConnection, _ stream: String, _ start: Start, _ filter: String?) {
        self.connection = connection
        self.stream = stream
        self.start = start
        self.filter = filter
    }

    deinit { close() }

    /// The next message; nil if there was none in time.
    ///
    /// Waits for a server that is away as long as `timeout` allows.
    /// - Throws: What retrying cannot mend: no such stream, no permission, a closed connection.
    public func next(timeout: Duration) throws(JetStreamError) -> StoredMessage? {
        let deadline = ContinuousClock.now + timeout
        while true {
            do throws(JetStreamError) {
                if let message = try step(deadline) {
                    start = .sequence(message.sequence &+ 1)
                    return message
                }
            } catch {
                pull = nil
                guard error.isTransient else { throw error }
                guard ContinuousClock.now < deadline else { return nil }
                usleep(useconds_t(min(Self.retryWait, max(.zero, deadline - .now)).nanoseconds / 1_000))
            }
            if ContinuousClock.now >= deadline { return nil }
        }
    }

    /// Drops the consumer on the server. Safe to call again.
    public func close() {
        guard let pull else { return }
        self.pull = nil
        // Best effort: the server drops it by itself.
        try? connection.deleteConsumer(stream, pull.consumer, timeout: .seconds(1))
    }

    /// One wait at most: a message, or nil when there is none yet.
    private func step(_ deadline: ContinuousClock.Instant) throws(JetStreamError) -> StoredMessage? {
        var pull = try opened()
        if !pull.isOpen { try ask(&pull) }
        self.pull = pull
        let rest = max(.milliseconds(1), min(deadline, pull.deadline) - .now)
        guard let message = try pull.inbox.reader.next(timeout: rest) else {
            // Nobody answers a request that the server does not pass on.
            if let refusal = connection.state.refusal(of: nextSubject(pull)) { throw .permission(refusal) }
            // The server ends every pull by saying so; silence means that it has forgotten us.
            if ContinuousClock.now >= pull.deadline { self.pull = nil }
            return nil
        }
        return try taken(message)
    }

    private func opened() throws(JetStreamError) -> Pull {
        let connectCount = connection.state.connectCount
        if let pull, pull.connectCount == connectCount { return pull }
        let inbox = Inbox(try connection.openInbox())
        let consumer = try connection.createReadingConsumer(
            stream, start, filter: filter, timeout: JetStreamConnection.apiTimeout)
        pendingCount = consumer.pendingCount
        return Pull(consumer: consumer.name, inbox: inbox, connectCount: connectCount)
    }

    private func ask(_ pull: inout Pull) throws(JetStreamError) {
        let count = max(Self.pullCounts.lowerBound, min(Self.pullCounts.upperBound, Self.pullByteCount / averageByteCount))
        let body = #"{"batch":\#(count),"expires":\#(Self.pullExpiry.nanoseconds)}"#
        try connection.publish(nextSubject(pull), Array(body.utf8), reply: pull.inbox.reader.subject)
        pull.isOpen = true
        pull.expectedCount = count
        pull.deadline = .now + Self.pullExpiry + Self.pullGrace
    }

    private func nextSubject(_ pull: Pull) -> String { "$JS.API.CONSUMER.MSG.NEXT.\(stream).\(pull.consumer)" }

    private func taken(_ message: borrowing MessageHandle) throws(JetStreamError) -> StoredMessage? {
        guard var pull else { return nil }
        guard let delivery = Delivery(reply: message.reply) else {
            // A status: the pull has ended, with or without the consumer.
            switch message.status {
            case 404, 408:
                pull.isOpen = false
                self.pull = pull
            case 503:
                throw .noResponders(operation: "read \(stream)")
            default:
                self.pull = nil
            }
            return nil
        }
        guard delivery.consumerSequence == pull.lastConsumerSequence &+ 1 else {
            // One was lost on the way: begin again after the last that was given out.
            self.pull = nil
            return nil
        }
        pull.lastConsumerSequence = delivery.consumerSequence
        pendingCount = delivery.pendingCount
        pull.expectedCount -= 1
        if pull.expectedCount == 0 { pull.isOpen = false }
        pull.deadline = .now + Self.pullExpiry + Self.pullGrace
        self.pull = pull
        averageByteCount = max(256, (averageByteCount * 15 + message.body.count) / 16)
        return StoredMessage(
            subject: String(decoding: message.subject, as: UTF8.self), sequence: delivery.streamSequence,
            headers: message.headers, payload: Array(message.body), storedAtNanoseconds: delivery.storedAtNanoseconds)
    }
}

extension JetStreamConnection {
    /// Opens a reader on `stream`, of the subjects that `filter` matches (nil: all).
    ///
    /// Nothing is asked of the server before the first ``MessageReader/next(timeout:)``, except that `.new` is fixed here.
    public func openReader(
        _ stream: String, from start: MessageReader.Start, filter: String? = nil
    ) throws(JetStreamError) -> MessageReader {
        var start = start
        if start == .new {
            let name = try Self.checked(stream)
            guard let info = try streamInfo(name) else {
                throw .api(
                    code: 404, errCode: JetStreamErrorCode.streamNotFound, description: "stream not found",
                    operation: "read \(name)")
            }
            // Pinned down, so that a consumer made again begins at the same place.
            start = .sequence(info.state.lastSequence &+ 1)
        }
        return MessageReader(self, try Self.checked(stream), start, filter)
    }
}
