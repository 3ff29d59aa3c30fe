import History
import JetStreamPublishing
import Synchronization

/// A connection to NATS, and whether it will come back.
final class WorkerLink: Sendable {
    let connection: JetStreamConnection
    private let closed: Closed

    private final class Closed: Sendable {
        let reason = Mutex<String?>(nil)
        let refusal = Mutex<String?>(nil)
    }

    /// Connects, waiting for it.
    ///
    /// A failure of TLS is believed the second time: a server that ends in the middle of a handshake looks like one that cannot be trusted.
    /// - Parameter isWanted: Asked once a second while it lasts; false gives it up.
    static func connected(
        _ configuration: WorkerConfiguration, isWanted: () -> Bool = { true }
    ) throws(StreamerError) -> WorkerLink {
        do throws(JetStreamError) {
            do throws(JetStreamError) {
                return try WorkerLink(configuration, isWanted)
            } catch {
                guard case .tls = error else { throw error }
                return try WorkerLink(configuration, isWanted)
            }
        } catch {
            throw .jetStream(error)
        }
    }

    private init(_ configuration: WorkerConfiguration, _ isWanted: () -> Bool) throws(JetStreamError) {
        let closed = Closed()
        self.closed = closed
        // Nothing is published whose acks would come there.
        let mailbox = AckMailbox(stream: configuration.deadStream, controlStream: "KV_" + CheckpointRecord.bucket, wake: {})
        connection = try JetStreamConnection(configuration.nats, mailbox: mailbox, isWanted: isWanted) { event in
            switch event {
            case .closed(let reason): closed.reason.withLock { $0 = reason }
            // Of what nobody waits for: an acknowledgement.
            case .permissionViolation(let text) where text.contains("$JS.ACK."): closed.refusal.withLock { $0 = text }
            case .permissionViolation, .disconnected, .reconnected, .asyncError: break
            }
        }
    }

    /// The server's word that the worker may not acknowledge; nil: it has not said so.
    var refusal: String? { closed.refusal.withLock { $0 } }

    /// Why the client has given the connection up for good; nil: it has not.
    var closedReason: String? { closed.reason.withLock { $0 } }
}
