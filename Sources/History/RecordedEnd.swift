import Capture
import JetStreamPublishing
package import WAL

/// What stands in the stream where the record says that the last proven message is; of a stream that ends before that, the newest message of ours that is left.
package struct RecordedEnd: Equatable, Sendable {
    package var sequence: UInt64
    package var message: StreamTail.Message
    /// Of the message's transaction, where the message tells: an event of a row or table.
    package var commitTimestamp: PostgresTimestamp?

    package init(sequence: UInt64, message: StreamTail.Message, commitTimestamp: PostgresTimestamp? = nil) {
        self.sequence = sequence
        self.message = message
        self.commitTimestamp = commitTimestamp
    }
}

/// When the transaction of a stored event was committed: a server that was restored can give xid and LSN again, to another transaction.
package struct StoredCommit: Equatable, Sendable {
    package var sequence: UInt64
    package var timestamp: PostgresTimestamp

    package init(sequence: UInt64, timestamp: PostgresTimestamp) {
        self.sequence = sequence
        self.timestamp = timestamp
    }
}

extension Recovery.Facts {
    /// When the newest change that is stored was committed; of a stream without one, when its slot was made; nil: nothing tells.
    package var newestStored: PostgresTimestamp? {
        if let newestCommit { return newestCommit.timestamp }
        if let stream, case .event = stream.message, let timestamp = stream.commitTimestamp { return timestamp }
        if let timestamp = recordedEnd?.commitTimestamp { return timestamp }
        // A slot that somebody else made is older than its record.
        return record.flatMap { $0.genesis.kind == CheckpointRecord.adoptedKind ? nil : PostgresTimestamp($0.genesis.at) }
    }
}
