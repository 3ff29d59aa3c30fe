package import Capture
package import JetStreamPublishing
package import WAL

/// The end of the stream as its leader tells it: how far whatever was published is stored.
package struct StreamTail: Equatable, Sendable {
    /// What stands at the stream's last sequence.
    package enum Message: Equatable, Sendable {
        /// Nothing was ever stored, wherever its sequences begin (`first_seq`).
        case never
        /// It was deleted, purged or aged out; the sequence remains.
        case gone
        /// An event, and whether it is its transaction's last; nil: its format does not tell.
        case event(MessageID, isLast: Bool?)
        /// No message of ours.
        case foreign(subject: String)
    }

    package var lastSequence: UInt64
    package var message: Message
    /// Messages that are there.
    package var messageCount: UInt64 = 0
    /// Of the last message's transaction, where the message tells: an event of a row or table.
    package var commitTimestamp: PostgresTimestamp?
    /// The stream's creation time: another one is another stream.
    package var created: String
    package var leader: String?
    package var replicaCount: Int
    /// Whether a majority of the replicas was current when it was read.
    package var isMajorityCurrent: Bool

    package init(
        lastSequence: UInt64, message: Message, messageCount: UInt64 = 0, commitTimestamp: PostgresTimestamp? = nil,
        created: String, leader: String? = nil, replicaCount: Int, isMajorityCurrent: Bool
    ) {
        self.lastSequence = lastSequence
        self.message = message
        self.messageCount = messageCount
        self.commitTimestamp = commitTimestamp
        self.created = created
        self.leader = leader
        self.replicaCount = replicaCount
        self.isMajorityCurrent = isMajorityCurrent
    }

    /// What a message is.
    package static func read(_ message: StoredMessage) -> Message {
        guard let id = message.messageID.flatMap({ MessageID($0) }) else { return .foreign(subject: message.subject) }
        switch id.kind {
        case .event:
            // One that cannot be read is none that was written whole.
            guard let event = EventFormat.read(message.payload, subject: message.subject) else { return .event(id, isLast: false) }
            return .event(id, isLast: event.isLast)
        case .replayed: return .foreign(subject: message.subject)
        // It stands between transactions.
        case .backfilled: return .event(id, isLast: true)
        // One in an event's place tells; any other stands behind an event, under its position, perhaps inside its transaction.
        case .marker:
            let isLast = id.position.ordinal == 0 ? true : EventFormat.read(message.payload, subject: message.subject)?.isLast
            return .event(id, isLast: isLast)
        case .late: return .event(id, isLast: id.position.ordinal == 0 ? true : nil)
        }
    }

    /// When the transaction of a stored event was committed; nil where the message does not tell.
    package static func commitTimestamp(of message: StoredMessage) -> PostgresTimestamp? {
        EventFormat.read(message.payload, subject: message.subject)?.commitTimestamp
    }
}
