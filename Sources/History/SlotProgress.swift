package import PGOutput
package import WAL

/// How far a server has come in what a slot holds, by what it sent.
package struct SlotProgress: Equatable {
    package struct Transaction: Equatable {
        package var id: TransactionID
        package var commitLSN: LSN
    }

    /// Whatever commits before it was sent whole.
    package private(set) var endLSN: LSN
    /// The one that has begun and not ended.
    package private(set) var transaction: Transaction?
    /// Changes of it that were sent.
    package private(set) var changeCount = 0
    /// The table that the latest message describes: the next row is one of it. nil: the latest is no description.
    package private(set) var describedTable: String?
    /// Transactions that were sent whole.
    package private(set) var transactionCount = 0

    package init(startLSN: LSN) { endLSN = startLSN }

    package mutating func received(_ message: PGOutputMessage) {
        switch message {
        case .begin(let begin):
            transaction = Transaction(id: begin.xid, commitLSN: begin.finalLSN)
            changeCount = 0
            describedTable = nil
        case .commit(let commit):
            endLSN = max(endLSN, commit.endLSN)
            transaction = nil
            transactionCount += 1
        case .relation(let relation): describedTable = relation.qualifiedName
        case .insert, .update, .delete, .truncate, .message:
            changeCount += 1
            if describedTable != nil { describedTable = nil }
        case .origin, .type, .streamStart, .streamStop, .streamCommit, .streamAbort, .beginPrepare, .prepare,
            .commitPrepared, .rollbackPrepared, .streamPrepare:
            break
        }
    }

    /// A keepalive: all that commits before `end` was sent.
    package mutating func decoded(upTo end: LSN) {
        if transaction == nil { endLSN = max(endLSN, end) }
    }
}
