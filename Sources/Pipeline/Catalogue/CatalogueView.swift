import Glibc
import PostgresReplication
import Threads
import WAL

/// How much of what a transaction did to the catalogue PostgreSQL can show.
///
/// A transaction is sent when it is flushed, and others see it a little later: behind a synchronous standby when that has answered, which may be
/// never, or wait for us. So nothing may wait for it. But until others can see it, it holds its locks, and `pg_locks` shows those: what it has not
/// locked it has not changed.
struct CatalogueView {
    /// Everything the transaction did is shown.
    let isWhole: Bool
    /// Tables and composite types whose rows in the catalogue the transaction may have changed. It may have made others too.
    let hidden: Set<UInt32>

    /// Nothing is hidden.
    static let whole = CatalogueView(isWhole: true, hidden: [])

    /// As an array of `oid`.
    var hiddenList: String { "{" + hidden.map(String.init).joined(separator: ",") + "}" }

    /// Looks once, without waiting.
    /// - Throws: what the connection throws.
    static func of(
        _ transactionID: TransactionID, within budget: TimeBudget, over connection: borrowing SQLConnection
    ) throws(PostgresError) -> CatalogueView {
        // One that is neither shown nor holds a lock has ended between the two questions, and is shown now.
        while try !Self.isShown(transactionID, within: budget, over: connection) {
            if let hidden = try Self.locked(by: transactionID, within: budget, over: connection) {
                return CatalogueView(isWhole: false, hidden: hidden)
            }
            usleep(1000)
        }
        return .whole
    }

    /// Waits until the transaction is shown, for `patience` at most.
    /// - Returns: Whether it is.
    static func becomesWhole(
        for transactionID: TransactionID, patience: Duration, within budget: TimeBudget, over connection: borrowing SQLConnection
    ) throws(PostgresError) -> Bool {
        let deadline = Instant.now + patience
        while Instant.now < deadline {
            usleep(2000)
            if try isShown(transactionID, within: budget, over: connection) { return true }
        }
        return false
    }

    /// Whether a new snapshot has the transaction.
    static func isShown(
        _ transactionID: TransactionID, within budget: TimeBudget, over connection: borrowing SQLConnection
    ) throws(PostgresError) -> Bool {
        guard transactionID != .none else { return true }
        // The 32 bits of an xid are those of the nearest to the snapshot's end, before it or after it.
        let sql = """
            SELECT pg_catalog.pg_visible_in_snapshot(
                (CASE WHEN m.ahead >= 2147483648 THEN m.xmax + m.ahead - 4294967296 ELSE m.xmax + m.ahead END)
                    ::pg_catalog.text::pg_catalog.xid8, m.snapshot)
            FROM (SELECT s.snapshot, s.xmax, ($1::pg_catalog.int8 - s.xmax) & 4294967295 AS ahead
                  FROM (SELECT snapshot, pg_catalog.pg_snapshot_xmax(snapshot)::pg_catalog.text::pg_catalog.int8 AS xmax
                        FROM pg_catalog.pg_current_snapshot() AS snapshot) AS s) AS m
            """
        let rows = try connection.query(sql, [String(transactionID.rawValue)], timeout: budget.next)
        return rows.first?.first == "t"
    }

    /// What the transaction has locked as those lock who change it; nil: it holds nothing any more.
    private static func locked(
        by transactionID: TransactionID, within budget: TimeBudget, over connection: borrowing SQLConnection
    ) throws(PostgresError) -> Set<UInt32>? {
        // By virtual transaction: a prepared one has no process.
        let rows = try connection.query(
            """
            WITH locks AS MATERIALIZED (SELECT * FROM pg_catalog.pg_locks WHERE granted)
            SELECT CASE WHEN l.locktype = 'relation' THEN l.relation END
            FROM locks t JOIN locks l ON l.virtualtransaction = t.virtualtransaction
            WHERE t.locktype = 'transactionid' AND t.mode = 'ExclusiveLock'
                AND t.transactionid = $1::pg_catalog.text::pg_catalog.xid
                AND (l.locktype = 'transactionid' OR l.locktype = 'relation'
                    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
                    AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))
            """, [String(transactionID.rawValue)], timeout: budget.next)
        if rows.isEmpty { return nil }
        return Set(rows.compactMap { $0.first.flatMap { $0 }.flatMap { UInt32($0) } })
    }
}
