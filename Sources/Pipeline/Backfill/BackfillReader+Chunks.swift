import History
import PostgresReplication
import WAL

/// One chunk, in a snapshot of its own.
extension BackfillReader {
    /// What a chunk's snapshot says beside the rows.
    struct ChunkFacts {
        var snapshot: TransactionSnapshot
        var lsn: LSN
        var filenode: UInt32
        var blocks: UInt64
        var fingerprint: String?

        /// Whether the table is the one of which the pass is.
        func isSame(as pass: BackfillProgress.Pass) -> Bool { filenode == pass.filenode && fingerprint.map { $0 == pass.fingerprint } ?? true }
    }

    /// Runs `body` in a snapshot of its own, behind the table's lock.
    /// - Parameter pass: The fingerprint is compared with its; nil: it is not asked for.
    func chunk(
        _ table: BackfillProgress.Table, _ pass: BackfillProgress.Pass?, _ lock: String, _ run: inout Run,
        _ body: (inout Run, borrowing SQLConnection) throws(PostgresError) -> Void
    ) throws(Interruption) -> ChunkFacts {
        let facts: ChunkFacts = try ask(&run) { (run, sql) throws(PostgresError) in
            // The lock first: it takes no snapshot, and what rewrote the table before it is behind it.
            try sql.execute(
                "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = '2s'; SET LOCAL row_security = off; \(lock)")
            guard let row = try sql.query(TableReading.chunkQuery(table)).first, row.count == 5, let text = row[0], let lsn = row[1].flatMap({ LSN($0) }),
                let snapshot = TransactionSnapshot(text, lsn: lsn), let filenode = row[2].flatMap({ UInt32($0) }), let blocks = row[3].flatMap({ UInt64($0) })
            else { throw .protocolViolation(message: "cannot read a chunk's snapshot") }
            // Once more: a pooler may lead each transaction elsewhere.
            try requireSource(ServerMark(text: row[4] ?? ""))
            var facts = ChunkFacts(snapshot: snapshot, lsn: WALPage.written(lsn), filenode: filenode, blocks: blocks)
            if pass != nil {
                facts.fingerprint = try TableReading.fingerprint(table, publication: configuration.source.publication, over: sql)
            }
            // Another table than the one that was looked up is not read.
            if pass.map({ facts.isSame(as: $0) }) ?? true { try body(&run, sql) }
            try sql.execute("COMMIT")
            return facts
        }
        return facts
    }

    func requireSame(_ facts: ChunkFacts, _ pass: BackfillProgress.Pass) throws(Interruption) {
        guard !facts.isSame(as: pass) else { return }
        exchange.reset(.table(why: facts.filenode != pass.filenode ? "the table was rewritten" : "the table, or its part of the publication, was changed"))
        throw .reset
    }
}
