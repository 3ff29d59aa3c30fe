import History
import JetStreamPublishing
import Synchronization
import Threads

/// The NATS connection of one session, with its mailbox and what happened to it.
final class NATSLink: Sendable {
    let connection: JetStreamConnection
    let mailbox: AckMailbox
    /// Signalled by acks and by what happens to the connection.
    let wake: WakeSignal
    private let events: ConnectionEvents

    /// Events wait here until the delivery thread takes them. Beyond the limit the oldest goes, of those that only repeat what newer ones say: how the connection stands now is never dropped.
    final class ConnectionEvents: Sendable {
        static let limit = 64
        private let pending = Mutex<[ConnectionEvent]>([])

        /// From any thread.
        func append(_ event: ConnectionEvent) {
            pending.withLock { pending in
                if pending.count >= Self.limit {
                    pending.remove(at: pending.firstIndex { Self.isRepeated($0) } ?? 0)
                }
                pending.append(event)
            }
        }

        private static func isRepeated(_ event: ConnectionEvent) -> Bool {
            switch event {
            case .disconnected, .reconnected, .asyncError: true
            case .closed, .permissionViolation: false
            }
        }

        /// What has waited, oldest first; nothing of it waits any more.
        func take() -> [ConnectionEvent] {
            pending.withLock { pending in
                defer { pending.removeAll() }
                return pending
            }
        }
    }

    /// Connects, waiting for it.
    ///
    /// A failure of TLS is believed the second time: a server that ends in the middle of a handshake looks like one that cannot be trusted.
    ///
    /// - Parameter isWanted: Asked once a second while it lasts; false gives it up.
    static func connected(
        _ options: JetStreamConnectionOptions, stream: String, isWanted: () -> Bool = { true }
    ) throws(StreamerError) -> NATSLink {
        do throws(StreamerError) {
            return try NATSLink(options, stream: stream, isWanted: isWanted)
        } catch {
            guard case .jetStream(.tls) = error else { throw error }
            return try NATSLink(options, stream: stream, isWanted: isWanted)
        }
    }

    private init(_ options: JetStreamConnectionOptions, stream: String, isWanted: () -> Bool) throws(StreamerError) {
        let wake = try StreamerError.ofSystem { () throws(SystemError) in try WakeSignal() }
        let events = ConnectionEvents()
        let mailbox = AckMailbox(
            stream: stream, controlStream: "KV_" + CheckpointRecord.bucket, wake: { wake.signal() })
        self.wake = wake
        self.events = events
        self.mailbox = mailbox
        do throws(JetStreamError) {
            connection = try JetStreamConnection(
                options, mailbox: mailbox, isWanted: isWanted,
                onEvent: { event in
                    events.append(event)
                    wake.signal()
                })
        } catch {
            throw .jetStream(error)
        }
    }

    func takeEvents() -> [ConnectionEvent] { events.take() }
}
