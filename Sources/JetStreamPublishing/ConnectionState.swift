import CNats
import Synchronization

/// What libnats' callbacks and the connection's callers share: whether there is a link, who waits for an answer, where
/// acks and events go.
final class ConnectionState: Sendable {
    /// Counts connects in the upper bits; the lowest says whether the link is up. One word, so that a publisher that saw
    /// the link break cannot undo a reconnect that came meanwhile.
    private let link = Atomic<UInt64>(1)
    /// Why there will be no link any more; nil as long as there may be one.
    private let closedReason = Mutex<String?>(nil)
    /// The server's latest word that something is not allowed.
    private let refusal = Mutex("")
    private let maxPayloadByteCount = Atomic<Int>(0)
    private let connectedURL = Mutex("")
    private let token: Mutex<TokenMemory>
    private let mailbox: AckMailbox
    private let onEvent: @Sendable (ConnectionEvent) -> Void

    /// Requests under way.
    let replies = PendingReplies()

    /// State for a connection whose token, if it has one, stands in `tokenFile`.
    init(mailbox: AckMailbox, tokenFile: String?, onEvent: @escaping @Sendable (ConnectionEvent) -> Void) {
        self.mailbox = mailbox
        self.token = Mutex(TokenMemory(path: tokenFile))
        self.onEvent = onEvent
    }

    /// Whether the link is up, as far as is known.
    var isConnected: Bool { link.load(ordering: .acquiring) & 1 == 1 }

    /// The link's count and state, for ``markBroken(_:)``.
    var linkWord: UInt64 { link.load(ordering: .acquiring) }

    /// How many times the link has been made; a new number means that what was learnt about the server may be old.
    var connectCount: UInt64 { link.load(ordering: .acquiring) >> 1 }

    /// The server's limit for headers and payload together.
    var maxPayload: Int { maxPayloadByteCount.load(ordering: .relaxed) }

    /// The URL of the server at the other end, without credentials.
    var url: String { connectedURL.withLock { $0 } }

    /// Why nothing can be sent.
    var absence: JetStreamError {
        closedReason.withLock { $0 }.map { .connectionClosed($0) } ?? .notConnected("reconnecting")
    }

    /// The server's word where it refused what was published to `subject`, lately; nil: it did not.
    func refusal(of subject: String) -> String? {
        let text = refusal.withLock { $0 }
        return text.contains("\"\(subject)\"") ? text : nil
    }

    /// Reads off the connection what depends on the server.
    func learn(_ connection: OpaquePointer) {
        maxPayloadByteCount.store(Int(natsConnection_GetMaxPayload(connection)), ordering: .relaxed)
        let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1_024) { buffer -> String in
            guard let start = buffer.baseAddress,
                natsConnection_GetConnectedUrl(connection, start, buffer.count) == NATS_OK
            else { return "" }
            return String(cString: start)
        }
        connectedURL.withLock { $0 = ServerURL.withoutCredentials(text) }
    }

    /// Notes that a call failed in a way that ends the link which was up when `word` was read. From here publishing
    /// throws at once instead of waiting for libnats' lock, which it holds while it dials.
    func markBroken(_ word: UInt64) {
        _ = link.compareExchange(expected: word, desired: word & ~1, ordering: .acquiringAndReleasing)
    }

    /// Called when there will be no link any more; the first reason stays.
    func end(_ reason: String) {
        closedReason.withLock { if $0 == nil { $0 = reason } }
        _ = link.bitwiseAnd(~1, ordering: .acquiringAndReleasing)
        replies.failAll(absence)
    }

    // Callbacks.

    /// Files a message that came on the inbox: an ack or the answer to a request.
    func received(_ message: borrowing MessageHandle) {
        let subject = message.subject
        if let reply = AckReply(subject: subject) {
            let body = message.body
            if body.isEmpty, let status = message.status {
                mailbox.post(reply, Self.outcome(status, reply.token))
            } else {
                mailbox.receive(reply, body: body)
            }
        } else if let number = PendingReplies.number(subject: subject) {
            replies.resolve(number, message)
        } else if let reply = FastBatchReply(subject: subject) {
            let body = message.body
            if body.isEmpty, let status = message.status {
                mailbox.post(reply, Self.outcome(status, reply.token))
            } else {
                mailbox.receive(reply, body: body)
            }
        }
    }

    /// What a message without a body says.
    private static func outcome(_ status: Int, _ token: UInt64) -> PublishOutcome {
        status == 503
            ? .noResponders(token: token) : .refused(token: token, errCode: 0, code: status, lastSequence: nil)
    }

    /// The link broke; libnats is making it anew.
    func disconnected() {
        _ = link.bitwiseAnd(~1, ordering: .acquiringAndReleasing)
        replies.failAll(.notConnected("the connection was lost"))
        onEvent(.disconnected("the connection was lost"))
    }

    /// The link is up again.
    func reconnected(_ connection: OpaquePointer) {
        learn(connection)
        var word = link.load(ordering: .acquiring)
        while true {
            let next = ((word >> 1) &+ 1) << 1 | 1
            let (isExchanged, current) = link.compareExchange(
                expected: word, desired: next, ordering: .acquiringAndReleasing)
            if isExchanged { break }
            word = current
        }
        onEvent(.reconnected(url))
    }

    /// libnats gave up.
    func closed(_ reason: String) {
        let reason = reason.isEmpty ? "closed by libnats" : reason
        end(reason)
        onEvent(.closed(reason))
    }

    /// An error outside a call; refused publishes fail the request that waits for them.
    func failed(_ status: natsStatus, _ text: String) {
        if status == NATS_NOT_PERMITTED {
            refusal.withLock { $0 = text }
            replies.failRefused(text)
            onEvent(.permissionViolation(text))
        } else {
            onEvent(.asyncError(text))
        }
    }

    /// The token, read anew; nil if there is none or its file cannot be read, and then the server refuses us.
    func readToken() -> UnsafePointer<CChar>? {
        token.withLock { memory in
            // Carried out as an address: the memory stays ours.
            memory.read().map { UInt(bitPattern: $0) }
        }.flatMap { UnsafePointer(bitPattern: $0) }
    }
}
