import CNats
import Dispatch
import Synchronization

/// The first connect, on a thread of its own, so that a libnats that does not come back (see ``LockProbe``) does not take
/// its caller with it.
final class ConnectAttempt: Sendable {
    private enum State {
        case running
        case abandoned
        /// The address of the `natsConnection`, or why there is none.
        case finished(Result<UInt, JetStreamError>)
    }

    /// libnats before 3.8.0 leaves out a signature whose first byte is 0 (nats.c #705): of 256 connects with an nkey one is refused, whoever we are. The next signs another nonce.
    private static let signedConnectCount = 3

    private let state = Mutex(State.running)
    private let isFinished = Latch()

    /// Connects with `setup`. `connectionState` lives as long as the attempt, abandoned or not: libnats reads the token from it.
    /// - Parameter isWanted: Asked once a second while it lasts; false gives it up.
    /// - Returns: A `natsConnection` that the caller owns.
    static func run(
        _ setup: consuming OptionsHandle, _ connectionState: ConnectionState, _ options: JetStreamConnectionOptions,
        isWanted: () -> Bool
    ) throws(JetStreamError) -> OpaquePointer {
        let attempt = ConnectAttempt()
        let connectCount = options.credentials.areSigned ? signedConnectCount : 1
        let limit = options.connectTimeout * (2 * options.urls.count * connectCount) + options.wedgedAfter
        attempt.start(setup, connectionState, connectCount: connectCount)
        let deadline = ContinuousClock.now + limit
        var isGivenUp = false
        while !isGivenUp, !attempt.isFinished.wait(min(.seconds(1), max(.zero, deadline - .now))), ContinuousClock.now < deadline {
            isGivenUp = !isWanted()
        }
        let result = attempt.state.withLock { state -> Result<UInt, JetStreamError>? in
            if case .finished(let result) = state { return result }
            state = .abandoned
            return nil
        }
        switch result {
        case .success(let address):
            guard let pointer = OpaquePointer(bitPattern: address) else {
                throw .client(status: "no connection", operation: "connect")
            }
            return pointer
        case .failure(.notConnected(let why)):
            let urls = options.urls.map(ServerURL.withoutCredentials).joined(separator: ", ")
            throw .notConnected("\(why) at \(urls)")
        case .failure(let error): throw error
        case nil where isGivenUp: throw .notConnected("connecting was given up")
        case nil: throw .wedged("connecting took longer than \(limit)")
        }
    }

    /// - Parameter connectCount: So often, before a refusal is believed.
    private func start(_ setup: consuming OptionsHandle, _ connectionState: ConnectionState, connectCount: Int) {
        let queue = DispatchQueue(label: "slotstream.nats.connect")
        let box = OptionsBox(setup)
        queue.async {
            var connection: OpaquePointer?
            var status = NATS_CONNECTION_AUTH_FAILED
            for _ in 0..<connectCount where status == NATS_CONNECTION_AUTH_FAILED {
                status = withExtendedLifetime(connectionState) { natsConnection_Connect(&connection, box.options.pointer) }
            }
            if status == NATS_OK, let connection {
                self.finish(.success(UInt(bitPattern: connection)))
            } else {
                self.finish(.failure(NatsStatus.error(status, "connect")))
            }
        }
    }

    private func finish(_ result: Result<UInt, JetStreamError>) {
        let isAbandoned = state.withLock { state in
            if case .abandoned = state { return true }
            state = .finished(result)
            return false
        }
        if isAbandoned, case .success(let address) = result {
            natsConnection_Destroy(OpaquePointer(bitPattern: address))
        }
        isFinished.open()
    }
}

/// Carries options into an escaping closure, which cannot capture a noncopyable value.
private final class OptionsBox: Sendable {
    let options: OptionsHandle

    init(_ options: consuming OptionsHandle) { self.options = options }
}
