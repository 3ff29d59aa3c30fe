import Capture
package import History
import PostgresReplication

/// One of the tables that a run reads: a plain table or a partition, with what forbids reading it.
package struct BackfillCandidate: Sendable, Equatable {
    /// The table that is walked, and the one under whose name its events are published.
    package var table: BackfillProgress.Table
    /// Schema and name of the table that is walked, as SQL takes them.
    package var sqlName: String
    /// Of the one under whose name its events are published.
    package var publishedSQLName: String
    /// By PostgreSQL's own statistics, or by its size where it was never analysed.
    package var estimatedRows: UInt64
    /// Rows and what lies outside of them (TOAST).
    package var byteCount: UInt64
    /// Why it cannot be read, with what to type; nil: it can.
    package var refusal: String?

    package init(
        table: BackfillProgress.Table, sqlName: String, publishedSQLName: String, estimatedRows: UInt64 = 0, byteCount: UInt64 = 0,
        refusal: String? = nil
    ) {
        self.table = table
        self.sqlName = sqlName
        self.publishedSQLName = publishedSQLName
        self.estimatedRows = estimatedRows
        self.byteCount = byteCount
        self.refusal = refusal
    }
}

/// What the catalogue says of a candidate, from which it follows whether its rows can be read and told apart.
struct BackfillFacts: Equatable {
    /// A table without a key is read in one piece, and so not if it is larger.
    static let keylessByteLimit: UInt64 = 8 << 20

    /// What a relation is, where that alone forbids reading it.
    enum Kind: Equatable {
        case table
        case foreign
        case unlogged
        /// Rows are stored by another access method than `heap`.
        case accessMethod(String)
    }

    var kind = Kind.table
    /// `schema.table`, as events name it.
    var published = ""
    var sqlName = ""
    var publishedSQLName = ""
    var byteCount: UInt64 = 0
    var publication = ""
    /// The publication's operations that it does not have, of INSERT and UPDATE.
    var unpublishedOperations: [String] = []
    /// As SQL takes it.
    var role = ""
    /// Statements that give the role the rights it lacks.
    var grants: [String] = []
    /// Row security decides which of its rows the role sees.
    var hidesRows = false
    /// An index by which its events name a row, or with REPLICA IDENTITY FULL one by which rows are told apart.
    var hasKey = true
    /// Its events are published under the name of a partitioned table that has other partitions too.
    var isOneOfSeveral = false

    /// Why it cannot be read, with what to type; nil: it can.
    func refusal(_ capture: CaptureConfiguration) -> String? {
        kindRefusal ?? publishingRefusal(capture) ?? rightsRefusal ?? keyRefusal
    }

    private var kindRefusal: String? {
        switch kind {
        case .table: nil
        case .foreign:
            "\(sqlName) is a foreign table: its rows are on another server, and its changes are never published. Name the other partitions, without \(sqlName)"
        case .unlogged:
            "\(sqlName) is unlogged, so its changes are never published: ALTER TABLE \(sqlName) SET LOGGED"
        case .accessMethod(let name):
            "\(sqlName) is stored by the access method \(name), and only tables of the access method heap can be read: ALTER TABLE \(sqlName) SET ACCESS METHOD heap"
        }
    }

    private func publishingRefusal(_ capture: CaptureConfiguration) -> String? {
        if !unpublishedOperations.isEmpty {
            return
                "publication \(publication) does not publish \(unpublishedOperations.joined(separator: " and ")), so what changes while \(sqlName) is read would be lost: ALTER PUBLICATION \(quoteIdentifier(publication)) SET (publish = 'insert, update, delete, truncate')"
        }
        let excluded = capture.excluded(["INSERT", "UPDATE"], of: published)
        if !excluded.isEmpty {
            return
                "events.exclude leaves out \(excluded.joined(separator: " and ")) of \(publishedSQLName), so what changes while the table is read would be lost: remove the exclusion, and start the streamer again"
        }
        return nil
    }

    private var rightsRefusal: String? {
        if !grants.isEmpty {
            return "\(role) may not read \(sqlName) (a grant on columns is not enough): \(grants.joined(separator: "; "))"
        }
        if hidesRows { return "row security of \(sqlName) hides rows from \(role): ALTER ROLE \(role) BYPASSRLS" }
        return nil
    }

    private var keyRefusal: String? {
        guard !hasKey else { return nil }
        let remedy = "ALTER TABLE \(sqlName) ADD PRIMARY KEY (COLUMN), or name a unique index of columns that are NOT NULL: ALTER TABLE \(sqlName) REPLICA IDENTITY USING INDEX NAME"
        if byteCount > Self.keylessByteLimit {
            return
                "\(sqlName) has no key by which its rows are told apart, and \(Amount.bytes(byteCount)) are more than the \(Amount.bytes(Self.keylessByteLimit)) that are read in one piece: \(remedy)"
        }
        if isOneOfSeveral {
            return
                "\(sqlName) has no key by which its rows are told apart, and is one of several partitions of \(publishedSQLName), whose rows can only be read again all together: \(remedy)"
        }
        return nil
    }
}
