package import Capture
import WAL

/// What the stream says of a table's rows while they are read beside it: which a snapshot does not show, and which have to be read again. Pure.
///
/// A row that was read is the row only if no transaction that was decoded before it goes out, and that its snapshot does not show, has touched it. And a consumer that gets
/// an event with columns that PostgreSQL did not send can do something with it only if it has the row: the key of each such event is kept until the row is read, or an event tells all of it.
package struct TouchedRows {
    /// Why it cannot go on.
    package enum Overflow: Error, Equatable {
        /// Keys of transactions that no snapshot shows: all that is in flight is given up, and read again.
        case pending
        /// Keys of rows to be read again, or one that is not known: the table begins anew.
        case rereads
    }

    /// Bytes of keys that wait for a snapshot that shows their transactions, with what is around them; and bytes of those that are to be read again.
    package static let pendingByteLimit = 6 << 20
    package static let rereadByteLimit = 96 << 10
    /// What a key takes beside its bytes, about.
    private static let overhead = 160

    /// A transaction that is decoded, and not shown by a snapshot so far.
    private struct Pending {
        var commitLSN: LSN
        var keys: [RowKey] = []
    }

    /// Of the key's columns by name; empty: the table has no key.
    package let keyColumns: [String]
    /// Whether events may come without some columns.
    private let collectsRereads: Bool
    private var pending: [TransactionID: Pending] = [:]
    /// How many pending transactions have touched a row.
    private var touched: [RowKey: Int] = [:]
    private var pendingByteCount = 0
    package private(set) var rereads: Set<RowKey> = []
    private var rereadByteCount = 0
    /// Those of them that took the place of another of them: its row has this key now.
    package private(set) var heirs: Set<RowKey> = []
    /// Keys that a row settled which is not known to be stored yet: what settled them, as the window counts.
    private var settled: [(key: RowKey, appendedCount: UInt64)] = []
    /// Pending transactions are collected: someone reads rows.
    package private(set) var isReading = false
    private var overflow: Overflow?
    /// Since ``unsettled(storedCount:)`` was asked, `rereads` has changed.
    private var isChanged = true

    package init(keyColumns: [String], collectsRereads: Bool, rereads: [RowKey] = []) {
        self.keyColumns = keyColumns
        self.collectsRereads = collectsRereads && !keyColumns.isEmpty
        for key in rereads { readAgain(key) }
    }

    // MARK: - The stream

    /// Takes a change of one of its rows. What it cannot hold it tells by ``takeOverflow()``.
    package mutating func changed(_ change: RowChange) {
        if isReading {
            if pending[change.transactionID] == nil {
                pending[change.transactionID] = Pending(commitLSN: change.position.commitLSN)
                pendingByteCount += Self.overhead
            }
            if change.isKeyUnknown { overflow = .rereads }
            if let key = change.key { touch(key, by: change.transactionID) }
            if let old = change.oldKey { touch(old, by: change.transactionID) }
            if pendingByteCount > Self.pendingByteLimit { overflow = overflow ?? .pending }
        }
        guard collectsRereads else { return }
        let isHeir = change.oldKey.map { rereads.contains($0) } ?? false
        if let old = change.oldKey { settle(old) }
        guard let key = change.key else { return }
        guard !change.isWhole else { return settle(key) }
        readAgain(key)
        if isHeir { heirs.insert(key) }
    }

    private mutating func touch(_ key: RowKey, by transactionID: TransactionID) {
        // Once is enough for one transaction's next changes of the same row.
        guard pending[transactionID]?.keys.last != key else { return }
        // Where they lie: taken out, all keys of the transaction would be copied for each of its changes.
        pending[transactionID]?.keys.append(key)
        touched[key, default: 0] += 1
        pendingByteCount += key.bytes.count + Self.overhead
    }

    private mutating func readAgain(_ key: RowKey) {
        guard rereads.insert(key).inserted else { return }
        isChanged = true
        rereadByteCount += key.bytes.count
        if rereadByteCount > Self.rereadByteLimit { overflow = .rereads }
    }

    private mutating func settle(_ key: RowKey) {
        guard rereads.remove(key) != nil else { return }
        isChanged = true
        rereadByteCount -= key.bytes.count
        heirs.remove(key)
    }

    /// What was too much, once.
    package mutating func takeOverflow() -> Overflow? {
        defer { overflow = nil }
        return overflow
    }

    // MARK: - Reading beside it

    /// Pending transactions are collected from now on, and none before.
    package mutating func beginReading() {
        forgetPending()
        isReading = true
    }

    /// Nobody reads: only what is to be read again is kept.
    package mutating func endReading() {
        forgetPending()
        isReading = false
    }

    private mutating func forgetPending() {
        pending = [:]
        touched = [:]
        pendingByteCount = 0
    }

    /// The rows that go out next are of this snapshot, or a later one's: what it shows is no longer pending.
    package mutating func shown(by snapshot: TransactionSnapshot) {
        for (id, entry) in pending where snapshot.shows(id, committedAt: entry.commitLSN) {
            for key in entry.keys {
                pendingByteCount -= key.bytes.count + Self.overhead
                if let count = touched[key], count > 1 { touched[key] = count - 1 } else { touched[key] = nil }
            }
            pending[id] = nil
            pendingByteCount -= Self.overhead
        }
    }

    /// Whether a transaction has touched the table that the latest snapshot does not show.
    package var hasPending: Bool { !pending.isEmpty }

    /// Whether one has touched this row.
    package func isTouched(_ key: RowKey) -> Bool { touched[key] != nil }

    /// The row goes out as it was read, as the event of this number in the window; or it was looked for and is not there.
    package mutating func wasRead(_ key: RowKey, appendedCount: UInt64) {
        guard rereads.contains(key) else { return }
        settle(key)
        settled.append((key, appendedCount))
    }

    /// The table begins anew.
    package mutating func forgetRereads() {
        rereads = []
        heirs = []
        rereadByteCount = 0
        settled = []
        isChanged = true
    }

    /// Whether ``unsettled(storedCount:)`` gives something else than before.
    package func hasChanged(storedCount: UInt64) -> Bool { isChanged || settled.first.map { $0.appendedCount <= storedCount } ?? false }

    /// The keys that whoever goes on after a crash has to read again, where so many events are known to be stored.
    package mutating func unsettled(storedCount: UInt64) -> [RowKey] {
        settled.removeAll { $0.appendedCount <= storedCount }
        isChanged = false
        return Array(rereads) + settled.map(\.key)
    }
}
