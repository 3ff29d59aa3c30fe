import Capture
import JetStreamPublishing
import WAL

/// The end of the stream as its leader tells it: how far whatever was published is stored.
struct StreamTail: Equatable, Sendable {
    /// What stands at the stream's last sequence.
    enum Message: Equatable, Sendable {
        /// Nothing was ever stored, wherever its sequences begin (`first_seq`).
        case never
        /// It was deleted, purged or aged out; the sequence remains.
        case gone
        /// An event, and whether it is its transaction's last; nil: its format does not tell.
        case event(MessageID, isLast: Bool?)
        /// No message of ours.
        case foreign(subject: String)
    }

    var lastSequence: UInt64
    var message: Message
    /// Messages that are there.
    var messageCount: UInt64 = 0
    /// Of the last message's transaction, where the message tells: an event of a row or table.
    var commitTimestamp: PostgresTimestamp?
    /// The stream's creation time: another one is another stream.
    var created: String
    var leader: String?
    var replicaCount: Int
    /// Whether a majority of the replicas was current when it was read.
    var isMajorityCurrent: Bool

    /// Reads it.
    /// - Returns: nil if there is no such stream.
    /// - Throws: what the connection throws; `.malformedResponse` for a sequence that no stream can have reached.
    static func read(_ stream: String, over connection: some StreamReader) throws(JetStreamError) -> StreamTail? {
        guard let info = try connection.streamInfo(stream) else { return nil }
        let last: StoredMessage?
        do throws(JetStreamError) {
            last = try connection.lastMessage(stream)
        } catch {
            if error.errCode == JetStreamErrorCode.streamNotFound { return nil }
            throw error
        }
        let lastSequence = max(info.state.lastSequence, last?.sequence ?? 0)
        // Half of all sequences are control tokens.
        guard lastSequence < AckMailbox.controlBit else {
            throw .malformedResponse(operation: "the last sequence of stream \(stream)")
        }
        let message: Message
        // A last message before the last sequence is not the one that stood there.
        if let last, last.sequence == lastSequence {
            message = read(last)
        } else {
            // A stream that only begins later tells the sequence before its first as its last.
            message = lastSequence == 0 || lastSequence + 1 == info.config.firstSequence ? .never : .gone
        }
        return StreamTail(
            lastSequence: lastSequence, message: message, messageCount: info.state.messages,
            commitTimestamp: last.flatMap { $0.sequence == lastSequence ? commitTimestamp(of: $0) : nil },
            created: info.created,
            leader: info.cluster?.leader, replicaCount: info.config.replicas,
            isMajorityCurrent: info.cluster?.hasCurrentMajority ?? true)
    }

    /// What a message is.
    static func read(_ message: StoredMessage) -> Message {
        guard let id = message.messageID.flatMap({ MessageID($0) }) else { return .foreign(subject: message.subject) }
        switch id.kind {
        case .event:
            // One that cannot be read is none that was written whole.
            guard let event = EventFormat.read(message.payload, subject: message.subject) else { return .event(id, isLast: false) }
            return .event(id, isLast: event.isLast)
        case .replayed: return .foreign(subject: message.subject)
        // It stands between transactions.
        case .backfilled: return .event(id, isLast: true)
        // What is stored behind an event, under its position, may stand inside its transaction.
        case .marker, .late: return .event(id, isLast: id.position.ordinal == 0 ? true : nil)
        }
    }

    /// When the transaction of a stored event was committed; nil where the message does not tell.
    static func commitTimestamp(of message: StoredMessage) -> PostgresTimestamp? {
        EventFormat.read(message.payload, subject: message.subject)?.commitTimestamp
    }
}
