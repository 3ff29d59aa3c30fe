import Capture
import History
import JetStreamPublishing
import WAL

extension RecordedEnd {
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
            commitTimestamp: StreamTail.commitTimestamp(of: message))
    }

    /// When the transaction of the newest message of ours behind what is proven was committed, and where that message is; nil where there is none, or it does not tell.
    static func newestCommit(
        _ record: CheckpointRecord, _ tail: StreamTail, identity: SourceIdentity, over connection: some StreamReader
    ) throws(JetStreamError) -> StoredCommit? {
        guard tail.lastSequence > record.settled else { return nil }
        // Not simply the last one: a stray, a marker, a row of a backfill, or an old event of ours that was stored again may stand behind it.
        let present = try LastPresent.read(record.stream, through: tail.lastSequence, identity: identity, over: connection)
        guard let sequence = present.sequence, sequence > record.settled,
            let message = try connection.message(record.stream, sequence: sequence)
        else { return nil }
        return StreamTail.commitTimestamp(of: message).map { StoredCommit(sequence: sequence, timestamp: $0) }
    }
}
