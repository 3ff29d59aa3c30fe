import Capture
import JetStreamPublishing
public import WAL

/// Reads events as they are stored, in order: what `tail` shows.
public final class EventReader {
    /// Where to begin.
    public enum Start: Sendable, Equatable {
        case now
        case first
        case sequence(UInt64)
        /// The first event of a transaction that commits at or after it.
        case lsn(LSN)
        /// RFC 3339.
        case time(String)
    }

    public struct Event: Sendable {
        public var sequence: UInt64
        public var subject: String
        /// The event's bytes: one JSON object.
        public var payload: [UInt8]
        /// `Nats-Msg-Id`.
        public var id: String?
    }

    private let link: NATSLink
    private let reader: MessageReader
    private let entity: String?
    private let operation: String?

    /// - Parameters:
    ///   - entity: Only events of it; nil: all.
    ///   - operation: Only events of it, as the subject's last token has it; nil: all.
    public init(
        _ configuration: StreamerConfiguration, from start: Start, entity: String? = nil, operation: String? = nil
    ) throws(StreamerError) {
        let link = try NATSLink.connected(configuration.nats, stream: configuration.stream.name)
        self.link = link
        self.entity = entity
        self.operation = operation
        let name = configuration.stream.name
        let found = try StreamerError.ofJetStream { () throws(JetStreamError) in try link.connection.streamInfo(name) }
        guard found != nil else {
            throw .stop(
                .configuration, what: "stream \(name) does not exist",
                remedy: "Check transport.nats.stream_name, or run `slotstream setup`")
        }
        reader = try StreamerError.ofJetStream { () throws(JetStreamError) in
            let place: MessageReader.Start =
                switch start {
                case .now: .new
                case .first: .first
                case .sequence(let sequence): .sequence(sequence)
                case .time(let time): .time(time)
                case .lsn(let lsn): .sequence(try Self.firstSequence(at: lsn, in: name, link.connection))
                }
            return try link.connection.openReader(name, from: place)
        }
    }

    deinit {
        reader.close()
        link.connection.close()
    }

    /// The next event that fits; nil if none came within `timeout`.
    public func next(timeout: Duration) throws(StreamerError) -> Event? {
        let deadline = Instant.now + timeout
        repeat {
            let message = try StreamerError.ofJetStream { () throws(JetStreamError) in
                try reader.next(timeout: max(.milliseconds(1), deadline.duration(since: .now)))
            }
            guard let message else { return nil }
            if fits(message) {
                return Event(
                    sequence: message.sequence, subject: message.subject, payload: message.payload,
                    id: message.messageID)
            }
        } while Instant.now < deadline
        return nil
    }

    private func fits(_ message: StoredMessage) -> Bool {
        if entity == nil, operation == nil { return true }
        guard var kind = EventFields.kind(of: message.payload) else { return false }
        // FraiseQL's format has one word for all other operations; the subject's last token is the operation.
        if kind.operation == "CUSTOM", let token = message.subject.split(separator: ".").last {
            kind.operation = String(token)
        }
        return (entity.map { $0 == kind.entity } ?? true)
            && (operation.map { $0.uppercased() == kind.operation.uppercased() } ?? true)
    }

    /// Stored order is commit order: the place is found by halving.
    private static func firstSequence(
        at lsn: LSN, in stream: String, _ connection: JetStreamConnection
    ) throws(JetStreamError) -> UInt64 {
        guard let state = try connection.streamInfo(stream)?.state else { return 1 }
        var low = max(1, state.firstSequence)
        var high = state.lastSequence &+ 1
        while low < high {
            let middle = low + (high - low) / 2
            // A message that was deleted says nothing: the next one that is there speaks for it.
            var probe = middle
            var message = try connection.message(stream, sequence: probe)
            while message == nil, probe + 1 < high {
                probe += 1
                message = try connection.message(stream, sequence: probe)
            }
            let position = message?.messageID.flatMap { MessageID($0) }?.position
            if let position, position.commitLSN < lsn { low = probe + 1 } else { high = middle }
        }
        return low
    }
}
