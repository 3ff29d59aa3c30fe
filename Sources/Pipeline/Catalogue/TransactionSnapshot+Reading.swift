import History
import PostgresReplication
import WAL

extension TransactionSnapshot {
    /// The snapshot of a transaction, or of now; all that it shows commits before its LSN.
    /// - Returns: `text`: as PostgreSQL writes it.
    static func taken(over sql: borrowing SQLConnection) throws(PostgresError) -> (snapshot: TransactionSnapshot, text: String) {
        let question = "SELECT pg_catalog.pg_current_snapshot(), pg_catalog.pg_current_wal_insert_lsn()"
        guard let row = try sql.query(question).first, row.count == 2, let text = row[0], let lsn = row[1].flatMap({ LSN($0) }),
            let snapshot = TransactionSnapshot(text, lsn: WALPage.written(lsn))
        else { throw .protocolViolation(message: "cannot read the answer to: " + question) }
        return (snapshot, text)
    }
}
