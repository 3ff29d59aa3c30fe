import CNats
import Synchronization

/// A connection's subscriptions that nobody reads any more, until libnats' read loop has certainly let go of them.
///
/// The read loop of libnats 3.4.1 looks a message's subscription up and then locks it, without a reference of its own (nats.c issue 637). Destroyed in
/// between, it crashes, or waits for ever on a lock that is gone, and with it whoever closes the connection. The answer to a PING that is
/// sent after unsubscribing says that it has moved on.
final class RetiredSubscriptions: Sendable {
    /// How long an answer is waited for.
    private static let answerMilliseconds: Int64 = 500

    private struct Waiting {
        /// Addresses of `natsSubscription`s, all of them unsubscribed.
        var addresses: [UInt] = []
        var isReadLoopOver = false
    }

    private let waiting = Mutex(Waiting())
    /// The address of the `natsConnection`.
    private let connection: UInt
    private let state: ConnectionState

    /// Those of `connection`, which lives until ``end()``.
    init(of connection: OpaquePointer, _ state: ConnectionState) {
        self.connection = UInt(bitPattern: connection)
        self.state = state
    }

    /// Takes `subscription` over: unsubscribes it now, and destroys it as soon as that is safe.
    func retire(_ subscription: OpaquePointer) {
        waiting.withLock { waiting in
            natsSubscription_Unsubscribe(subscription)
            waiting.addresses.append(UInt(bitPattern: subscription))
            if waiting.isReadLoopOver || isAnswered { Self.destroy(&waiting.addresses) }
        }
    }

    /// The read loop has been joined.
    func end() {
        waiting.withLock { waiting in
            waiting.isReadLoopOver = true
            Self.destroy(&waiting.addresses)
        }
    }

    /// Asks the server. Not while the link is down: libnats holds its lock while it dials.
    private var isAnswered: Bool {
        state.isConnected
            && natsConnection_FlushTimeout(OpaquePointer(bitPattern: connection), Self.answerMilliseconds) == NATS_OK
    }

    private static func destroy(_ addresses: inout [UInt]) {
        for address in addresses { natsSubscription_Destroy(OpaquePointer(bitPattern: address)) }
        addresses.removeAll()
    }
}
