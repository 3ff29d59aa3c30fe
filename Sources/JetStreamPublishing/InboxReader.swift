import CNats

/// A subscription to an inbox of its own, read by one thread with timeouts.
struct InboxReader: ~Copyable {
    /// The subject to give as reply.
    let subject: String
    private let subscription: SubscriptionHandle

    private init(_ subject: String, _ subscription: consuming SubscriptionHandle) {
        self.subject = subject
        self.subscription = subscription
    }

    /// Subscribes a new inbox on `connection`.
    static func open(_ connection: OpaquePointer) throws(JetStreamError) -> InboxReader {
        let subject = try Inbox.make()
        var pointer: OpaquePointer?
        try NatsStatus.check(natsConnection_SubscribeSync(&pointer, connection, subject), "subscribe an inbox")
        guard let pointer else { throw .client(status: "no subscription", operation: "subscribe an inbox") }
        let subscription = SubscriptionHandle(pointer)
        // How much comes is bounded by how much is asked for.
        try NatsStatus.check(natsSubscription_SetPendingLimits(pointer, -1, -1), "subscribe an inbox")
        return InboxReader(subject, subscription)
    }

    /// The next message; nil if none came in time.
    func next(timeout: Duration) throws(JetStreamError) -> MessageHandle? {
        var message: OpaquePointer?
        let status = natsSubscription_NextMsg(&message, subscription.pointer, max(1, timeout.wholeMilliseconds))
        if status == NATS_TIMEOUT { return nil }
        if status == NATS_NO_RESPONDERS { throw .noResponders(operation: "read") }
        guard status == NATS_OK, let message else { throw NatsStatus.error(status, "read") }
        return MessageHandle(message)
    }
}
