import PGOutput
public import WAL

/// What a server that is asked from where the stream ends must send before it can be believed to have the stream's history.
///
/// One that was restored from a snapshot is on the same timeline, can have passed every LSN again, and would skip what it was given meanwhile.
public enum HistoryProof: Sendable, Equatable {
    /// The transaction with which the stream ends: none behind it comes before it.
    ///
    /// A server that was restored can give xid and LSN again, to another transaction: the commit's time, where it is known, tells the two apart.
    case transaction(Position, TransactionID, commitTimestamp: PostgresTimestamp?)
    /// The message of no transaction with which the stream ends, by its LSN: it comes before anything behind it.
    case message(LSN)
    /// Nothing from before it: there a gap marker stands, and the slot, which has fallen back behind it, cannot tell what is stored from what was lost.
    case nothingBefore(LSN)

    /// What came instead.
    public enum Evidence: Sendable, Equatable {
        case transaction(LSN, TransactionID)
        case message(LSN)
        /// Neither: the server has decoded all WAL up to there.
        case nothing(upTo: LSN)
    }

    /// What is left to be proven when this transaction begins; nil: nothing.
    /// - Throws: `.historyDiverged`.
    func after(_ begin: Begin) throws(CaptureError) -> HistoryProof? {
        switch self {
        case .transaction(let position, let transactionID, let commitTimestamp):
            if begin.finalLSN == position.commitLSN, begin.xid == transactionID,
                commitTimestamp.map({ $0 == begin.commitTimestamp }) ?? true
            {
                return nil
            }
            if begin.finalLSN < position.commitLSN { return self }
        case .message(let lsn):
            // One at the message's own LSN stands behind it.
            if begin.finalLSN < lsn { return self }
        case .nothingBefore(let lsn):
            if begin.finalLSN >= lsn { return nil }
        }
        throw .historyDiverged(self, found: .transaction(begin.finalLSN, begin.xid))
    }

    /// What is left to be proven when a message of no transaction comes; nil: nothing.
    /// - Throws: `.historyDiverged`.
    func after(messageAt found: LSN) throws(CaptureError) -> HistoryProof? {
        switch self {
        case .transaction(let position, _, _):
            if found <= position.commitLSN { return self }
        case .message(let lsn):
            if found == lsn { return nil }
            if found < lsn { return self }
        case .nothingBefore(let lsn):
            if found >= lsn { return nil }
        }
        throw .historyDiverged(self, found: .message(found))
    }

    /// What is left to be proven when the server has decoded everything up to `end` and sent what there is of it; nil: nothing.
    /// - Throws: `.historyDiverged`.
    func after(decodingUpTo end: LSN) throws(CaptureError) -> HistoryProof? {
        switch self {
        // A commit record begins at its LSN, a message's LSN is where its record ends.
        case .transaction(let position, _, _):
            if end <= position.commitLSN { return self }
        case .message(let lsn):
            if end < lsn { return self }
        case .nothingBefore(let lsn):
            return end < lsn ? self : nil
        }
        throw .historyDiverged(self, found: .nothing(upTo: end))
    }
}

extension HistoryProof: CustomStringConvertible {
    public var description: String {
        switch self {
        case .transaction(let position, let transactionID, _): "the stream ends with transaction \(transactionID) at \(position)"
        case .message(let lsn): "the stream ends with a message outside transactions at \(lsn)"
        case .nothingBefore(let lsn):
            "the stream ends with a gap marker at \(lsn), behind which the slot has fallen back"
        }
    }
}

extension HistoryProof.Evidence: CustomStringConvertible {
    public var description: String {
        switch self {
        case .transaction(let lsn, let transactionID): "the server sent transaction \(transactionID) at \(lsn)"
        case .message(let lsn): "the server sent a message at \(lsn)"
        case .nothing(let end): "the server has no such change up to \(end)"
        }
    }
}
