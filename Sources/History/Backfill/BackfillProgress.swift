import Capture

/// How far a run has come: a part of the checkpoint record, put with it, so that whoever streams next goes on where this one was.
package struct BackfillProgress: Codable, Equatable, Sendable {
    package enum State: String, CaseIterable, Codable, Sendable {
        /// The tables are looked up; transactions that write to one are waited for.
        case preparing
        case walking
        /// Somebody wants it so.
        case paused
        /// It cannot go on: `why` says what has to be mended; it is tried again when it is resumed.
        case failed
    }

    /// A table whose rows are read: a partition by itself.
    package struct Table: Codable, Equatable, Sendable {
        package var oid: UInt32
        /// `schema.table`, its own name.
        package var name: String
        /// The name under which its events are published: the partitioned table's, or its own.
        package var published: String
        /// Of that one.
        package var publishedOid: UInt32

        package init(oid: UInt32, name: String, published: String, publishedOid: UInt32) {
            self.oid = oid
            self.name = name
            self.published = published
            self.publishedOid = publishedOid
        }
    }

    /// The walk over one table, from its beginning to its end.
    package struct Pass: Codable, Equatable, Sendable {
        /// Counted from 1: a table that was changed under it begins anew.
        package var number: Int
        package var filenode: UInt32
        /// Of all that decides what its rows look like.
        package var fingerprint: String
        /// Rows that were there when it began lie in these blocks.
        package var blocks: UInt32
        /// The number of its first message in the run.
        package var firstCount: UInt64
        /// By which its rows are known; empty: it has no key.
        package var keyColumns: [String]
        /// Whether its events may come without columns that an UPDATE did not touch.
        package var hasUnsentColumns: Bool

        package init(
            number: Int, filenode: UInt32, fingerprint: String, blocks: UInt32, firstCount: UInt64, keyColumns: [String], hasUnsentColumns: Bool
        ) {
            self.number = number
            self.filenode = filenode
            self.fingerprint = fingerprint
            self.blocks = blocks
            self.firstCount = firstCount
            self.keyColumns = keyColumns
            self.hasUnsentColumns = hasUnsentColumns
        }
    }

    package var request: BackfillRequest
    package var state: State
    /// Why it is paused or failed, and what to do; absent: it runs.
    package var why: String?
    /// RFC 3339.
    package var startedAt: String
    /// Of which stream, history and options it is: with others it is given up.
    package var history: String
    package var tables: [Table]
    /// The one that is walked; as many as there are tables: all are.
    package var tableIndex: Int
    /// Which of them were not read to their end, since they were gone, had another name, or were no longer published. Absent: none.
    package var unread: [Int]?
    /// nil: the walk of this table has not begun.
    package var pass: Pass?
    /// Keys of rows that are to be read again, Base64.
    package var rereads: [String]?
    /// Those are not all: the table begins anew when it goes on. Absent: they are.
    package var isStale: Bool?
    /// The message id of the live event behind which it began.
    package var base: String?
    /// Its first marker is to be stored once more. Absent: it is not.
    package var isLost: Bool?
    /// What the planner thinks that all tables hold.
    package var estimatedRows: UInt64
    /// What is stored of it.
    package var stored: BackfillTail

    package init(request: BackfillRequest, startedAt: String, history: String) {
        self.request = request
        state = .preparing
        self.startedAt = startedAt
        self.history = history
        tables = []
        tableIndex = 0
        estimatedRows = 0
        stored = BackfillTail(run: request.run)
    }

    package var run: UInt64 { request.run }
    /// Whether its rows go between the live events; false: they go into a stream of their own.
    package var isForLiveStream: Bool { request.intoStream == nil }
    /// Rows that are stored, of all tables.
    package var rows: UInt64 { stored.finishedRows + stored.rows }
    /// The table that is walked; nil: none is.
    package var table: Table? { tables.indices.contains(tableIndex) ? tables[tableIndex] : nil }

    /// The table that is walked was read to its end, or was not.
    package mutating func ended(isUnread: Bool) {
        var indices = Set(unread ?? [])
        if isUnread { indices.insert(tableIndex) } else { indices.remove(tableIndex) }
        unread = indices.isEmpty ? nil : indices.sorted()
    }

    /// Forgets unread ones whose place another has taken that is read: under their name, or the partitioned table that they have left.
    /// - Parameter published: Numbers of the tables that are published by now.
    package mutating func settleUnread(published: Set<UInt32>) {
        let indices = Set(unread ?? [])
        let read = Set(tables.indices.filter { !indices.contains($0) }.map { tables[$0].name })
        let left = indices.filter { index in
            let table = tables[index]
            return !read.contains(table.name) && (table.oid == table.publishedOid || !published.contains(table.publishedOid))
        }
        unread = left.isEmpty ? nil : left.sorted()
    }

    /// What of it was not read, and why; nil: all was.
    package var shortfall: String? {
        guard let unread else { return nil }
        let names = unread.prefix(Self.shownLimit).map { tables[$0].name } + (unread.count > Self.shownLimit ? ["\(unread.count - Self.shownLimit) more"] : [])
        return "not read to the end, since gone, under another name, or no longer published: \(names.joined(separator: ", "))"
    }

    private static let shownLimit = 10

    /// All of its tables are read once more: the stream has lost rows of it.
    package mutating func beginAnew() {
        tableIndex = 0
        unread = nil
        pass = nil
        rereads = nil
        isStale = nil
        isLost = true
    }

    /// Where the walk over the table goes on; nil: at its beginning.
    package var cursor: (block: UInt32, offset: UInt16)? {
        guard let table, let pass, let place = stored.place, place.tableOID == table.oid, place.count >= pass.firstCount, place.filenode == pass.filenode
        else { return nil }
        return (place.block, place.offset)
    }

    /// Whether the marker is stored that ends the table which is walked.
    package var isTableEnded: Bool { cursor?.block == BackfillMarker.endBlock }

    /// Which part of all is done, from 0 to 1; by blocks of the table that is walked, by tables of all.
    package var fraction: Double {
        guard !tables.isEmpty else { return 0 }
        var done = Double(tableIndex)
        if let pass, let cursor, pass.blocks > 0 { done += min(1, Double(cursor.block) / Double(pass.blocks)) }
        return min(1, done / Double(tables.count))
    }
}

/// How a run ended, kept in the record.
package struct FinishedBackfill: Codable, Equatable, Sendable {
    package enum State: String, Codable, Sendable {
        case done, cancelled
    }

    /// So many are kept; the oldest go first.
    package static let limit = 20
    /// Names of tables that are kept.
    package static let tableLimit = 100

    package var run: UInt64
    package var state: State
    package var tables: [String]
    package var rows: UInt64
    /// RFC 3339.
    package var startedAt: String
    package var endedAt: String
    /// Why it was cancelled, or what was not read.
    package var why: String?
    /// Of the stream: its last message stands there, or before. Absent: nobody knows.
    package var sequence: UInt64?

    package init(run: UInt64, state: State, tables: [String], rows: UInt64, startedAt: String, endedAt: String, why: String? = nil) {
        self.run = run
        self.state = state
        self.tables = tables
        self.rows = rows
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.why = why
    }
}
