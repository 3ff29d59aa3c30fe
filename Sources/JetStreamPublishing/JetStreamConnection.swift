import CNats
import Synchronization

/// One connection to a NATS server or cluster.
///
/// libnats makes a lost connection anew by itself, for ever, and tells by ``ConnectionEvent``. While there is no link every
/// call throws at once: nothing is kept back to be sent later, because what libnats sends after a reconnect it sends
/// with a hole before it.
///
/// Publishing belongs to one thread at a time and never waits for an answer; requests block the thread that makes them.
public final class JetStreamConnection: Sendable {
    private let handle: ConnectionHandle
    private let registration: UInt
    private let wedgedAfter: Duration
    private let usesTLS: Bool
    private let connectTimeout: Duration
    private let greeting = Mutex<(connectCount: UInt64, info: ServerGreeting.Info)?>(nil)

    /// Shared with libnats' callbacks.
    let state: ConnectionState
    /// Held for the length of one publish.
    let scratch: Mutex<PublishScratch>
    /// Whether events go out in messages of our own making.
    let laysOutMessages: Bool

    /// Connects to the first server that takes us, and subscribes the inbox that acks come to.
    ///
    /// Blocks for `connectTimeout` a server, and for as long as its name is being resolved, but no longer than `wedgedAfter` beyond that; meanwhile
    /// `isWanted` is asked once a second, and false gives it up. Acks go to `mailbox`, which is this connection's alone, everything else to
    /// `onEvent`, on libnats' threads; `onEvent` must not keep the connection alive.
    public init(
        _ options: JetStreamConnectionOptions, mailbox: AckMailbox, isWanted: () -> Bool = { true },
        onEvent: @escaping @Sendable (ConnectionEvent) -> Void
    ) throws(JetStreamError) {
        let state = ConnectionState(mailbox: mailbox, tokenFile: options.tokenFile, onEvent: onEvent)
        let registration = CallbackRegistry.register(state)
        do throws(JetStreamError) {
            let setup = try OptionsHandle.make(options, registration: registration)
            let pointer = try Self.connected(setup, state, options, isWanted)
            handle = try Self.subscribed(pointer, state, options)
            guard let scratch = PublishScratch(inbox: handle.inbox) else {
                throw JetStreamError.client(status: "no memory", operation: "connect")
            }
            self.scratch = Mutex(scratch)
            state.learn(pointer)
        } catch {
            CallbackRegistry.remove(registration)
            throw error
        }
        self.state = state
        self.registration = registration
        wedgedAfter = options.wedgedAfter
        usesTLS = options.usesTLS
        connectTimeout = options.connectTimeout
        laysOutMessages = MessageLayout.isProven && !options.leavesMessagesToLibnats
    }

    deinit { close() }

    /// Whether the link is up, as far as is known. Never blocks.
    public var isConnected: Bool { state.isConnected }

    /// The URL of the server at the other end, or last at it, without credentials.
    public var connectedURL: String { state.url }

    /// The host in ``connectedURL``; nil: it has none.
    public var connectedHost: String? { (try? ServerURL(state.url))?.host }

    /// In what way others could read or alter what goes over it; nil: it stays on this machine, or is encrypted, to a server whose certificate was
    /// verified.
    public var exposure: String? {
        guard !usesTLS, let host = connectedHost else { return nil }
        let isHere = host == "localhost" || host == "::1" || host.hasPrefix("127.")
        return isHere ? nil : "the connection is not encrypted"
    }

    /// The server's limit for headers and payload together, in bytes.
    public var maxPayload: Int { state.maxPayload }

    /// Whether libnats has held its own lock for longer than `wedgedAfter`, or does not come back from closing, which nothing but a new process mends.
    public var isWedged: Bool { handle.probe.isWedged }

    /// The server's version, such as `2.9.10`; nil if it cannot be found out.
    ///
    /// libnats 3.4.1 keeps it to itself, so the server's greeting is read over a connection of its own. Blocks for
    /// `connectTimeout` at most, once after every connect.
    public var serverVersion: String? { serverInfo?.version }

    /// Whether the server belongs to no cluster; nil if it cannot be found out. Blocks as ``serverVersion`` does.
    ///
    /// A stream may yet lie elsewhere, behind a leaf node's link: ``StreamInfo/Cluster/name`` tells where it is.
    public var isStandalone: Bool? { serverInfo.map { ($0.cluster ?? "").isEmpty } }

    /// Whether the server is one that takes atomic batches. Blocks as ``serverVersion`` does.
    public var takesAtomicBatches: Bool { isServer(.atomicBatches) }

    /// Whether the server is one that takes fast batches. Blocks as ``serverVersion`` does.
    public var takesFastBatches: Bool { isServer(.fastBatches) }

    private func isServer(_ oldest: ServerVersion) -> Bool {
        serverVersion.flatMap { ServerVersion($0) }.map { $0 >= oldest } ?? false
    }

    private var serverInfo: ServerGreeting.Info? {
        let connectCount = state.connectCount
        if let known = greeting.withLock({ $0 }), known.connectCount == connectCount { return known.info }
        guard let url = try? ServerURL(state.url) else { return nil }
        let info = ServerGreeting.read(host: url.host, port: url.port, timeout: connectTimeout)
        if let info { greeting.withLock { $0 = (connectCount, info) } }
        return info
    }

    /// Sends now what is buffered, which libnats would do by itself a millisecond later.
    ///
    /// Waits for the server's answer, a millisecond at most: libnats 3.4.1 has no call that sends and does not wait.
    public func sendBuffered() {
        guard state.isConnected else { return }
        // What goes wrong is told by an event, and by the acks that do not come.
        _ = natsConnection_FlushTimeout(handle.pointer, 1)
    }

    /// Pushes out what is buffered and waits until the server has seen it. Not needed for progress: libnats flushes
    /// within a millisecond.
    public func flush(timeout: Duration) throws(JetStreamError) {
        guard state.isConnected else { throw state.absence }
        try NatsStatus.check(natsConnection_FlushTimeout(handle.pointer, max(1, timeout.wholeMilliseconds)), "flush")
    }

    /// Publishes `payload` to `subject` and waits for the one answer.
    ///
    /// Fails at once when the link breaks or the account may not publish there.
    /// - Returns: The answer's body, which may hold an error of JetStream's.
    public func request(_ subject: String, _ payload: [UInt8], timeout: Duration) throws(JetStreamError) -> [UInt8] {
        try request(subject, payload, headers: [], timeout: timeout)
    }

    /// Closes for good; what is buffered is pushed out first, 500 ms at most. No event comes for it, though acks that were
    /// received may still be filed. Waits for a libnats that is stuck 5 s at most; then ``isWedged`` is true. Safe to call again.
    public func close() {
        CallbackRegistry.remove(registration)
        state.end("closed by us")
        _ = handle.probe.close()
    }

    /// A request with headers. What is no longer wanted ends as if the time were over.
    func request(
        _ subject: String, _ payload: [UInt8], headers: [(String, String)], timeout: Duration,
        isWanted: () -> Bool = { true }
    ) throws(JetStreamError) -> [UInt8] {
        let (number, waiter) = state.replies.open(subject)
        defer { state.replies.close(number) }
        try send(subject, payload, headers) { $0.setRequest(number) }
        return try waiter.answer(timeout, isWanted: isWanted)
    }

    /// A request without headers whose answer does not matter, of which many threads may make some at the same time without waiting for each other.
    func answered(_ subject: String, _ payload: [UInt8], timeout: Duration) throws(JetStreamError) {
        let (number, waiter) = state.replies.open(subject)
        defer { state.replies.close(number) }
        try publish(subject, payload, reply: "\(handle.inbox).\(PendingReplies.text(number))")
        _ = try waiter.answer(timeout, isWanted: { true })
    }

    /// Hands a message to libnats under the link state that was read before.
    func publish(_ message: OpaquePointer, payloadByteCount: Int, link: UInt64) throws(JetStreamError) {
        let status = natsConnection_PublishMsg(handle.pointer, message)
        switch status {
        case NATS_OK:
            return
        case NATS_MAX_PAYLOAD:
            throw .payloadTooLarge(byteCount: payloadByteCount, limit: state.maxPayload)
        case NATS_TIMEOUT:
            // libnats has shut the socket down: half a message may be in it.
            state.markBroken(link)
            throw .notConnected("the socket stayed full for longer than the write deadline")
        case NATS_IO_ERROR, NATS_CONNECTION_CLOSED, NATS_INSUFFICIENT_BUFFER:
            state.markBroken(link)
            throw .notConnected(NatsStatus.text(status))
        default:
            throw NatsStatus.error(status, "publish")
        }
    }

    /// A subscription of its own, read with ``InboxReader``.
    func openInbox() throws(JetStreamError) -> InboxReader {
        guard state.isConnected else { throw state.absence }
        return try InboxReader.open(handle.pointer, handle.retired)
    }

    /// Connects. Since TLS 1.3 a server refuses a client's certificate after the handshake: what libnats makes of that is told for what it is.
    private static func connected(
        _ setup: consuming OptionsHandle, _ state: ConnectionState, _ options: JetStreamConnectionOptions,
        _ isWanted: () -> Bool
    ) throws(JetStreamError) -> OpaquePointer {
        do throws(JetStreamError) {
            return try ConnectAttempt.run(setup, state, options, isWanted: isWanted)
        } catch {
            throw certificateRefusal(behind: error, options) ?? error
        }
    }

    private static func certificateRefusal(
        behind error: JetStreamError, _ options: JetStreamConnectionOptions
    ) -> JetStreamError? {
        let text: String
        switch error {
        case .notConnected(let why): text = why
        case .client(let status, _): text = status
        default: return nil
        }
        guard options.usesTLS,
            options.tls.certificateFile == nil || text.contains("SSL_") || text.contains("PONG"),
            let url = options.urls.compactMap({ try? ServerURL($0) }).first(where: {
                ServerGreeting.read(host: $0.host, port: $0.port, timeout: options.connectTimeout)?.demandsCertificate
                    == true
            })
        else { return nil }
        return .tls(
            "the server at \(url.host):\(url.port) demands a client certificate"
                + (options.tls.certificateFile.map { " and does not accept \($0)" } ?? ", and none is configured"))
    }

    /// Subscribes the inbox and waits until the server has agreed to it.
    private static func subscribed(
        _ connection: OpaquePointer, _ state: ConnectionState, _ options: JetStreamConnectionOptions
    ) throws(JetStreamError) -> ConnectionHandle {
        var subscription: OpaquePointer?
        do throws(JetStreamError) {
            let inbox = try Inbox.make()
            let closure = CallbackRegistry.retained(state)
            let status = natsConnection_Subscribe(
                &subscription, connection, inbox + ".>", CallbackRegistry.received, closure)
            guard status == NATS_OK, let open = subscription else {
                CallbackRegistry.release(closure)
                throw NatsStatus.error(status, "subscribe the inbox")
            }
            // Fails only if the connection has been given up meanwhile; a callback may be running, so the state stays.
            try NatsStatus.check(
                natsSubscription_SetOnCompleteCB(open, CallbackRegistry.inboxEnded, closure), "subscribe the inbox")
            // An ack that libnats threw away because we were slow would look like one that never came.
            try NatsStatus.check(natsSubscription_SetPendingLimits(open, -1, -1), "subscribe the inbox")
            try NatsStatus.check(
                natsConnection_FlushTimeout(connection, max(1, options.connectTimeout.wholeMilliseconds)), "connect")
            var text: UnsafePointer<CChar>?
            if natsConnection_GetLastError(connection, &text) == NATS_NOT_PERMITTED {
                throw .permission(text.map { String(cString: $0) } ?? "subscribe to \(inbox).>")
            }
            return ConnectionHandle(
                pointer: connection, inboxSubscription: open, inbox: inbox, retired: RetiredSubscriptions(of: connection, state),
                probe: LockProbe(connection, limit: options.wedgedAfter))
        } catch {
            // Its read loop ends first: see RetiredSubscriptions.
            natsConnection_Close(connection)
            natsSubscription_Destroy(subscription)
            natsConnection_Destroy(connection)
            throw error
        }
    }
}
