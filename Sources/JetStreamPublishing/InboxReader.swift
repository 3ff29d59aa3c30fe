import CNats

/// A subscription to an inbox of its own, read by one thread with timeouts.
struct InboxReader: ~Copyable {
    /// The subject to give as reply.
    let subject: String
    private let subscription: OpaquePointer
    private let retired: RetiredSubscriptions

    private init(_ subject: String, _ subscription: OpaquePointer, _ retired: RetiredSubscriptions) {
        self.subject = subject
        self.subscription = subscription
        self.retired = retired
    }

    deinit { retired.retire(subscription) }

    /// Subscribes a new inbox on `connection`, whose subscriptions end in `retired`.
    static func open(_ connection: OpaquePointer, _ retired: RetiredSubscriptions) throws(JetStreamError) -> InboxReader {
        let subject = try Inbox.make()
        var pointer: OpaquePointer?
        try NatsStatus.check(natsConnection_SubscribeSync(&pointer, connection, subject), "subscribe an inbox")
        guard let pointer else { throw .client(status: "no subscription", operation: "subscribe an inbox") }
        let reader = InboxReader(subject, pointer, retired)
        // How much comes is bounded by how much is asked for.
        try NatsStatus.check(natsSubscription_SetPendingLimits(pointer, -1, -1), "subscribe an inbox")
        return reader
    }

    /// The next message; nil if none came in time.
    func next(timeout: Duration) throws(JetStreamError) -> MessageHandle? {
        var message: OpaquePointer?
        let status = natsSubscription_NextMsg(&message, subscription, max(1, timeout.wholeMilliseconds))
        if status == NATS_TIMEOUT { return nil }
        if status == NATS_NO_RESPONDERS { throw .noResponders(operation: "read") }
        guard status == NATS_OK, let message else { throw NatsStatus.error(status, "read") }
        return MessageHandle(message)
    }
}
