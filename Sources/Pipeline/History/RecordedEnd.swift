import Capture
import JetStreamPublishing
import WAL

/// What stands in the stream where the record says that the last proven message is; of a stream that ends before that, the newest message of ours that is left.
struct RecordedEnd: Equatable, Sendable {
    var sequence: UInt64
    var message: StreamTail.Message
    /// Of the message's transaction, where the message tells: an event of a row or table.
    var commitTimestamp: PostgresTimestamp?

    /// Reads it; nil where the record knows of no message.
    static func read(
        _ record: CheckpointRecord, _ tail: StreamTail, identity: SourceIdentity, over connection: some StreamReader
    ) throws(JetStreamError) -> RecordedEnd? {
        guard record.lastSequence > 0, record.lastMessageID != nil else { return nil }
        let sequence =
            tail.lastSequence >= record.lastSequence
            ? record.lastSequence
            : try LastPresent.read(record.stream, through: tail.lastSequence, identity: identity, over: connection).sequence
        guard let sequence, let message = try connection.message(record.stream, sequence: sequence) else {
            return RecordedEnd(sequence: min(record.lastSequence, tail.lastSequence), message: .gone)
        }
        return RecordedEnd(
            sequence: sequence, message: StreamTail.read(message),
            commitTimestamp: StreamTail.commitTimestamp(in: message.payload))
    }

    /// When the transaction of the newest message of ours behind what is proven was committed, and where that message is; nil where there is none, or it does not tell.
    static func newestCommit(
        _ record: CheckpointRecord, _ tail: StreamTail, identity: SourceIdentity, over connection: some StreamReader
    ) throws(JetStreamError) -> StoredCommit? {
        guard tail.lastSequence > record.settled else { return nil }
        if case .event(let id, _) = tail.message, id.isOf(identity) {
            return tail.commitTimestamp.map { StoredCommit(sequence: tail.lastSequence, timestamp: $0) }
        }
        // A stray stands behind it.
        let present = try LastPresent.read(record.stream, through: tail.lastSequence, identity: identity, over: connection)
        guard let sequence = present.sequence, sequence > record.settled,
            let message = try connection.message(record.stream, sequence: sequence)
        else { return nil }
        return StreamTail.commitTimestamp(in: message.payload).map { StoredCommit(sequence: sequence, timestamp: $0) }
    }
}

/// When the transaction of a stored event was committed: a server that was restored can give xid and LSN again, to another transaction.
struct StoredCommit: Equatable, Sendable {
    var sequence: UInt64
    var timestamp: PostgresTimestamp
}

extension Recovery.Facts {
    /// When the newest change that is stored was committed; of a stream without one, when its slot was made; nil: nothing tells.
    var newestStored: PostgresTimestamp? {
        if let newestCommit { return newestCommit.timestamp }
        if let stream, case .event = stream.message, let timestamp = stream.commitTimestamp { return timestamp }
        if let timestamp = recordedEnd?.commitTimestamp { return timestamp }
        // A slot that somebody else made is older than its record.
        return record.flatMap { $0.genesis.kind == CheckpointRecord.adoptedKind ? nil : PostgresTimestamp($0.genesis.at) }
    }
}
