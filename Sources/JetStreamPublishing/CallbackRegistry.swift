import CNats
import Synchronization

/// What stands between libnats' callbacks and our objects.
///
/// libnats is given a number, not a pointer. A callback looks its number up and finds the connection's state, or
/// nothing once the connection was closed. That holds no C call to a promise about its last callback: in 3.4.1 neither
/// `natsConnection_Destroy` nor the closed callback is the end, because a read loop that closed the connection itself
/// goes on parsing what it has read and may post an error after "closed". Numbers are not used twice.
///
/// The inbox is the exception, because a lookup for each ack would take a lock for each: its subscription is given the
/// state itself, and gives it back in the one callback that libnats promises to be a subscription's last. So acks may come
/// until then, after the connection was closed.
enum CallbackRegistry {
    private struct Entries {
        var last: UInt = 0
        var states: [UInt: ConnectionState] = [:]
    }

    private static let entries = Mutex(Entries())

    /// Enters `state`; from here callbacks with the returned number find it.
    static func register(_ state: ConnectionState) -> UInt {
        entries.withLock { entries in
            entries.last += 1
            entries.states[entries.last] = state
            return entries.last
        }
    }

    /// Takes the entry out. A callback that is running keeps its state until it returns.
    static func remove(_ number: UInt) {
        _ = entries.withLock { $0.states.removeValue(forKey: number) }
    }

    /// The state that `closure`, as libnats hands it back, stands for.
    fileprivate static func state(_ closure: UnsafeMutableRawPointer?) -> ConnectionState? {
        let number = UInt(bitPattern: closure)
        return entries.withLock { $0.states[number] }
    }

    /// `number` as the `void *` that libnats carries about and never reads.
    static func closure(_ number: UInt) -> UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: number) }

    /// `state` for the inbox's callbacks, alive until ``release(_:)``.
    static func retained(_ state: ConnectionState) -> UnsafeMutableRawPointer { Unmanaged.passRetained(state).toOpaque() }

    /// Takes back what ``retained(_:)`` gave.
    static func release(_ closure: UnsafeMutableRawPointer) { Unmanaged<ConnectionState>.fromOpaque(closure).release() }

    // The C entry points. Each copies what it needs, hands it on and returns.

    /// An ack, or the answer to a request. On the inbox's delivery thread, with a ``retained(_:)`` state.
    static let received: natsMsgHandler = { _, _, message, closure in
        guard let message else { return }
        let handle = MessageHandle(message)
        guard let closure else { return }
        Unmanaged<ConnectionState>.fromOpaque(closure).takeUnretainedValue().received(handle)
    }

    /// The inbox's delivery thread is done: nothing is received any more.
    static let inboxEnded: natsOnCompleteCB = { closure in
        if let closure { release(closure) }
    }

    /// The connection broke. On libnats' callback thread, like those below.
    static let disconnected: natsConnectionHandler = { _, closure in
        CallbackRegistry.state(closure)?.disconnected()
    }

    /// The connection is back.
    static let reconnected: natsConnectionHandler = { connection, closure in
        guard let connection else { return }
        CallbackRegistry.state(closure)?.reconnected(connection)
    }

    /// libnats gave the connection up.
    static let closed: natsConnectionHandler = { connection, closure in
        CallbackRegistry.state(closure)?.closed(NatsStatus.lastError(of: connection))
    }

    /// An error outside a call.
    static let failed: natsErrHandler = { _, _, status, closure in
        CallbackRegistry.state(closure)?.failed(status, NatsStatus.text(status))
    }

    /// The token, asked for at every connect. On the thread that connects, with libnats' lock held. The memory is the
    /// state's and stays until the next call.
    static let token: natsTokenHandler = { closure in
        CallbackRegistry.state(closure)?.readToken()
    }
}
