import JetStreamPublishing
import Synchronization

/// The NATS connection of one session, with its mailbox and what happened to it.
final class NATSLink: Sendable {
    let connection: JetStreamConnection
    let mailbox: AckMailbox
    /// Signalled by acks and by what happens to the connection.
    let wake: WakeSignal
    private let events: ConnectionEvents

    /// Events wait here until the delivery thread takes them; only the kinds count, so a flapping connection cannot fill memory.
    private final class ConnectionEvents: Sendable {
        static let limit = 64
        private let pending = Mutex<[ConnectionEvent]>([])

        func append(_ event: ConnectionEvent) {
            pending.withLock { if $0.count < Self.limit { $0.append(event) } }
        }

        func take() -> [ConnectionEvent] {
            pending.withLock { pending in
                defer { pending.removeAll() }
                return pending
            }
        }
    }

    /// Connects, waiting for it.
    init(_ options: JetStreamConnectionOptions, stream: String) throws(StreamerError) {
        let wake = try WakeSignal()
        let events = ConnectionEvents()
        let mailbox = AckMailbox(
            stream: stream, controlStream: "KV_" + StreamerConfiguration.bucket, wake: { wake.signal() })
        self.wake = wake
        self.events = events
        self.mailbox = mailbox
        do throws(JetStreamError) {
            connection = try JetStreamConnection(
                options, mailbox: mailbox,
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
