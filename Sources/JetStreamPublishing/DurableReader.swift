/// Pulls from a durable consumer whose messages are acknowledged. Belongs to one thread.
///
/// It asks for as many messages as its owner has room for, and keeps asking over reconnects. A message may come again, by whatever was lost on the way: telling
/// that is the owner's.
public final class DurableReader {
    /// What one look brings.
    public enum Event: Sendable {
        case message(DeliveredMessage)
        /// Nothing came in time.
        case nothing
        /// The consumer was deleted, as the server says.
        case consumerGone
        /// Another client is the one that this consumer delivers to (`pinned_client`).
        case pinnedElsewhere
    }

    /// How long the server keeps a pull open: as long a stop may have to wait.
    private static let pullExpiry: Duration = .seconds(1)
    /// How long a pull may stay silent beyond its expiry before it counts as lost.
    private static let pullGrace: Duration = .seconds(1)
    /// In one pull; what bounds the memory.
    private static let pullByteCount = 4 << 20

    /// An inbox, boxed since an optional that is stored cannot hold a noncopyable value and be replaced while it is read.
    private final class Inbox {
        let reader: InboxReader
        init(_ reader: consuming InboxReader) { self.reader = reader }
    }

    private let connection: JetStreamConnection
    private let stream: String
    private let consumer: String
    /// Of a consumer with a policy of priorities.
    private let group: String?
    private var pinID: String?
    private var inbox: Inbox?
    private var connectCount: UInt64 = 0
    /// Messages that are asked for and have not come.
    private var openCount = 0
    private var deadline: ContinuousClock.Instant = .now

    fileprivate init(_ connection: JetStreamConnection, _ stream: String, _ consumer: String, group: String?) {
        self.connection = connection
        self.stream = stream
        self.consumer = consumer
        self.group = group
    }

    /// Whether anything can come: something is asked for, or would be at the next look.
    /// - Parameters:
    ///   - room: How many messages the owner takes now.
    ///   - whole: How many it takes when it has none.
    public func asks(for room: Int, of whole: Int) -> Bool {
        (openCount > 0 && ContinuousClock.now < deadline) || room >= Self.step(whole)
    }

    /// Not for each message that is done: for a quarter of them at a time.
    private static func step(_ whole: Int) -> Int { max(1, whole / 4) }

    /// The next event.
    /// - Parameters:
    ///   - room: How many messages the owner takes now; 0: none, and nothing is asked for.
    ///   - whole: How many it takes when it has none.
    ///   - timeout: How long one is waited for.
    /// - Throws: What the connection or the server has against it.
    public func next(room: Int, of whole: Int, timeout: Duration) throws(JetStreamError) -> Event {
        let inbox = try opened()
        if openCount > 0, ContinuousClock.now >= deadline { openCount = 0 }
        if room - openCount >= Self.step(whole) { try ask(for: room - openCount, inbox.reader.subject) }
        guard let message = try inbox.reader.next(timeout: timeout) else {
            // Nobody answers a request that the server does not pass on.
            if openCount > 0, let refusal = connection.state.refusal(of: nextSubject) { throw .permission(refusal) }
            return .nothing
        }
        return try taken(message)
    }

    /// Asks for nothing more, and waits until nothing can come any more: what is handed back while a request is open is delivered here again, and where the
    /// subscription is gone as well, nats-server 2.9.10 loses it until `ack_wait` is over.
    /// - Returns: What has come meanwhile.
    public func close() -> [DeliveredMessage] {
        var late: [DeliveredMessage] = []
        defer { inbox = nil }
        while openCount > 0, ContinuousClock.now < deadline, connection.state.connectCount == connectCount, let inbox {
            do throws(JetStreamError) {
                guard let message = try inbox.reader.next(timeout: .milliseconds(20)) else { continue }
                if case .message(let delivered) = try taken(message) { late.append(delivered) }
            } catch {
                return late
            }
        }
        return late
    }

    private func opened() throws(JetStreamError) -> Inbox {
        let connectCount = connection.state.connectCount
        if let inbox, connectCount == self.connectCount { return inbox }
        let inbox = Inbox(try connection.openInbox())
        self.inbox = inbox
        self.connectCount = connectCount
        openCount = 0
        return inbox
    }

    private var nextSubject: String { "$JS.API.CONSUMER.MSG.NEXT.\(stream).\(consumer)" }

    private func ask(for count: Int, _ reply: String) throws(JetStreamError) {
        var body = #"{"batch":\#(count),"expires":\#(Self.pullExpiry.nanoseconds),"max_bytes":\#(Self.pullByteCount)"#
        if let group {
            body += #","group":"\#(group)""#
            if let pinID { body += #","id":"\#(pinID)""# }
        }
        try connection.publish(nextSubject, Array((body + "}").utf8), reply: reply)
        openCount += count
        deadline = .now + Self.pullExpiry + Self.pullGrace
    }

    private func taken(_ message: borrowing MessageHandle) throws(JetStreamError) -> Event {
        guard let delivery = Delivery(reply: message.reply) else { return try ended(message) }
        openCount = max(0, openCount - 1)
        let delivered = DeliveredMessage(
            stored: StoredMessage(
                subject: String(decoding: message.subject, as: UTF8.self), sequence: delivery.streamSequence, headers: message.headers,
                payload: Array(message.body), storedAtNanoseconds: delivery.storedAtNanoseconds),
            reply: String(decoding: message.reply, as: UTF8.self), deliveryCount: delivery.count, pendingCount: delivery.pendingCount)
        if group != nil, let pin = delivered.stored.header("Nats-Pin-Id") { pinID = pin }
        return .message(delivered)
    }

    /// A status: a pull has ended, or cannot be.
    private func ended(_ message: borrowing MessageHandle) throws(JetStreamError) -> Event {
        openCount = max(0, openCount - (message.pullRemainder ?? openCount))
        switch message.status {
        case 409 where message.statusText.contains("Consumer Deleted"): return .consumerGone
        case 423:
            pinID = nil
            return .pinnedElsewhere
        case 503: throw .noResponders(operation: "read \(stream)")
        default: return .nothing
        }
    }
}

extension JetStreamConnection {
    /// Opens a reader on a durable consumer. Nothing is asked of the server before the first ``DurableReader/next(room:of:timeout:)``.
    /// - Parameter group: Of a consumer with a policy of priorities.
    public func openDurable(_ stream: String, _ consumer: String, group: String? = nil) throws(JetStreamError) -> DurableReader {
        DurableReader(self, try Self.checked(stream), try Self.checked(consumer), group: group)
    }
}
