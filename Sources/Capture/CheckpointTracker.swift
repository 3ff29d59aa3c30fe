public import WAL

/// Which LSN may be confirmed to PostgreSQL: exactly the end of the last transaction that is wholly stored, or a keepalive's position when nothing is pending.
///
/// Events are counted from the start of a connection: `appendedCount` have been handed on, the first `storedCount` of them are known to be stored.
public struct CheckpointTracker: Sendable {
    private struct Mark {
        /// All that `endLSN` confirms is stored when this many events are.
        var appendedCount: UInt64
        var endLSN: LSN
    }

    /// Ends of transactions that are not wholly stored, and keepalives behind them, oldest first, `marks[firstIndex...]`. At most one for each event that is not stored.
    private var marks: [Mark] = []
    private var firstIndex = 0
    private var appendedCount: UInt64 = 0
    private var storedCount: UInt64 = 0
    private var isInTransaction = false

    /// What may be confirmed; never moves back.
    public private(set) var confirmableLSN: LSN

    /// - Parameter confirmedLSN: What is confirmed already when the connection starts.
    public init(confirmedLSN: LSN) { confirmableLSN = confirmedLSN }

    /// Whether something received is not yet known to be stored.
    public var isPending: Bool { isInTransaction || storedCount < appendedCount }

    /// A Begin came.
    public mutating func transactionBegan() { isInTransaction = true }

    /// A Commit came, and with it the last event of its transaction: `appendedCount` events have been handed on so far.
    public mutating func transactionEnded(endLSN: LSN, appendedCount: UInt64) {
        isInTransaction = false
        self.appendedCount = appendedCount
        mark(endLSN)
    }

    /// Events were handed on outside or inside a transaction.
    public mutating func appended(count: UInt64) { appendedCount = count }

    /// A keepalive came. Its position is what the server has decoded: whatever commits before it was sent before it.
    ///
    /// Outside a transaction it is confirmable as soon as all that was sent before it is stored. It is remembered until then: a server that
    /// has nothing more to say does not send it again, and would keep the WAL.
    public mutating func keepalive(walEnd: LSN) {
        if !isInTransaction { mark(walEnd) }
    }

    /// The first `count` events are known to be stored.
    public mutating func stored(count: UInt64) {
        storedCount = max(storedCount, count)
        while firstIndex < marks.count, marks[firstIndex].appendedCount <= storedCount {
            advance(to: marks[firstIndex].endLSN)
            firstIndex += 1
        }
        if firstIndex == marks.count {
            marks.removeAll(keepingCapacity: true)
            firstIndex = 0
        } else if firstIndex >= 1024, firstIndex * 2 >= marks.count {
            marks.removeFirst(firstIndex)
            firstIndex = 0
        }
    }

    /// `lsn` is confirmable when all that was handed on so far is stored.
    private mutating func mark(_ lsn: LSN) {
        if storedCount >= appendedCount {
            advance(to: lsn)
        } else if firstIndex < marks.count, marks[marks.count - 1].appendedCount == appendedCount {
            // Nothing was handed on since: it is confirmed together with what stands there.
            marks[marks.count - 1].endLSN = max(marks[marks.count - 1].endLSN, lsn)
        } else {
            marks.append(Mark(appendedCount: appendedCount, endLSN: lsn))
        }
    }

    private mutating func advance(to lsn: LSN) {
        confirmableLSN = max(confirmableLSN, lsn)
    }
}
