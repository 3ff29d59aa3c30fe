import Capture
import History
import Logging
import PGOutput
import PostgresReplication
import Synchronization
import Threads
import WAL

/// One table, from where it stands to its end.
extension BackfillReader {
    /// Reads a table from where it stands to its end.
    func walk(_ run: inout Run) throws(Interruption) {
        run.progress = exchange.look.progress ?? run.progress
        guard let table = run.progress.table else { return }
        if run.isTruncated || run.progress.isTableEnded {
            run.isTruncated = false
            return try endTable(&run)
        }
        try requireWanted(&run)
        guard let reading = try describe(table, &run) else {
            logger.warning("a table of the backfill is gone, has another name, or is no longer published", metadata: ["table": "\(table.name)"])
            return try endTable(&run, why: "the table is gone, has another name, or is no longer published")
        }
        try perform(
            .watch(
                RelationID(table.publishedOid), TouchedRows(keyColumns: reading.keyColumns, collectsRereads: reading.hasUnsentColumns)))
        try clearGround(table, &run)
        if run.progress.isStale == true { run.restartCause = run.restartCause ?? "rows of the table may be missing in the stream" }
        if let pass = run.progress.pass, pass.fingerprint != reading.fingerprint { run.restartCause = run.restartCause ?? "the table was changed" }
        if run.progress.pass == nil || run.restartCause != nil || reading.keyColumns.isEmpty { try beginPass(table, reading, &run) }
        if reading.keyColumns.isEmpty { try readWhole(table, reading, &run) } else { try readChunks(table, reading, &run) }
        try endTable(&run)
    }

    /// Looks up how the table's rows are read, and has them written so; nil: it is gone, has another name, or is no longer published.
    func describe(_ table: BackfillProgress.Table, _ run: inout Run) throws(Interruption) -> TableReading? {
        let answer: (TableReading, TableDescription, StreamerError?)? = try ask(&run) { (run, sql) throws(PostgresError) in
            guard let reading = try TableReading.read(
                table, condition: run.progress.request.condition, publication: configuration.source.publication, over: sql)
            else { return nil }
            let budget = TimeBudget(from: .now)
            var learned = CatalogueReader.Learned()
            let (description, _) = try CatalogueReader.describe(
                reading.relation, needsFacts: true, of: .none, named: run.casts.named, patience: .zero, learned: &learned, within: budget, over: sql)
            for name in description.types.withheldCasts { run.casts.withheld(name) }
            let refusal = try session.columnRules.refusal(of: reading.relation, in: .whole, within: budget, sql: sql)
            return (reading, description, refusal)
        }
        guard let (reading, description, refusal) = answer else { return nil }
        // Under another name it is another table to whoever follows the run.
        guard reading.relation.qualifiedName == table.published else { return nil }
        if let refusal { throw .failed("\(refusal)") }
        if reading.hasOtherIdentity {
            throw .failed(
                "\(table.name) has another replica identity than \(table.published): ALTER TABLE \(table.name) REPLICA IDENTITY DEFAULT, or FULL")
        }
        if reading.keyColumns.isEmpty, reading.heapByteCount > Self.keylessByteLimit {
            throw .failed(
                "\(table.name) has no key and more than \(Amount.bytes(Self.keylessByteLimit)): give the table a primary key, or leave the table out")
        }
        do throws(CaptureError) {
            run.encoder = try CastFinder(reading.relation, description, session)
        } catch {
            throw .failed("\(error)")
        }
        if let target = run.target {
            guard !reading.keyColumns.isEmpty else {
                throw .failed("\(table.name) has no key, and cannot be read into a stream of its own: leave the table out, or give the table a primary key")
            }
            target.describe(reading.relation, description, operation: run.progress.request.operation)
        }
        try perform(.describe(reading.relation, description, operation: run.progress.request.operation))
        return reading
    }

    /// Waits until whoever may have written to the table before it was watched is shown.
    func clearGround(_ table: BackfillProgress.Table, _ run: inout Run) throws(Interruption) {
        var noted: Set<String>?
        while true {
            try requireWanted(&run)
            let (holders, snapshot): ([TableHolder], TransactionSnapshot) = try ask(&run) { (_, sql) throws(PostgresError) in
                (try TableHolder.read(of: [table.oid, table.publishedOid], over: sql), try TransactionSnapshot.taken(over: sql).snapshot)
            }
            let left = holders.filter { noted?.contains($0.id) ?? true }
            noted = noted ?? Set(holders.map(\.id))
            exchange.send(.shown(snapshot))
            if left.isEmpty { break }
            note("waits for a transaction that writes to \(table.name): \(left[0].text)", &run)
            pause(Self.pollInterval)
        }
        note(nil, &run)
    }

    func beginPass(_ table: BackfillProgress.Table, _ reading: TableReading, _ run: inout Run) throws(Interruption) {
        let facts = try chunk(table, nil, reading.lockStatement, &run) { _, _ in }
        let number = (run.progress.pass?.number ?? 0) + 1
        if number > 1 { try perform(.anew) }
        run.progress.pass = BackfillProgress.Pass(
            number: number, filenode: facts.filenode, fingerprint: reading.fingerprint, blocks: UInt32(clamping: facts.blocks),
            firstCount: (exchange.look.appended?.count ?? 0) + 1, keyColumns: reading.keyColumns, hasUnsentColumns: reading.hasUnsentColumns)
        run.progress.isStale = nil
        let why = run.restartCause
        try perform(.progress(run.progress))
        run.restartCause = nil
        guard number > 1, !reading.keyColumns.isEmpty else { return }
        var body = BackfillMarker.Backfill(id: run.progress.run, .restart)
        name(table, &body)
        body.pass = number
        body.why = why
        logger.notice("a table of the backfill begins anew", metadata: ["table": "\(table.name)", "pass": .stringConvertible(number), "why": "\(body.why ?? "")"])
        try mark(body, tableOID: table.oid, filenode: facts.filenode, block: 0, &run)
    }

    func name(_ table: BackfillProgress.Table, _ body: inout BackfillMarker.Backfill) {
        body.table = table.published
        body.oid = table.oid
        if table.oid != table.publishedOid { body.partition = table.name }
    }

    /// The walk, with the rows between that have to be read again; and those that are left behind it.
    func readChunks(_ table: BackfillProgress.Table, _ reading: TableReading, _ run: inout Run) throws(Interruption) {
        guard let pass = run.progress.pass else { return }
        var cursor = exchange.look.cursor
        var isWalked = cursor.block >= pass.blocks
        var limit = 16
        while !isWalked {
            try requireWanted(&run)
            try waitForLag(&run)
            let rereads = exchange.look.rereads
            if rereads.count >= Self.rereadDueCount, Instant.now.duration(since: run.lastRereadAt) >= Self.pollInterval {
                run.lastRereadAt = .now
                try readAgain(rereads, table, reading, pass, &run)
            }
            guard exchange.makeRoom() else { throw exchange.isOver ? .over : .reset }
            let (chunk, next) = try walkChunk(table, reading, pass, behind: cursor, limit: limit, &run)
            let count = chunk.rows.count
            cursor = chunk.end ?? cursor
            isWalked = cursor.block >= pass.blocks
            limit = next
            failpoints.reached(.chunkRead)
            try put(chunk, &run)
            if let rest = run.pace.rest(after: count) { pause(rest) }
        }
        guard exchange.settle() else { throw exchange.isOver ? .over : .reset }
        // Those that come later have their rows in the stream already.
        var left = Set(exchange.look.rereads)
        while !left.isEmpty {
            try requireWanted(&run)
            try readAgain(Array(left), table, reading, pass, &run)
            guard exchange.settle() else { throw exchange.isOver ? .over : .reset }
            let before = left.count
            let state = exchange.look
            // A row that has another key by now is still one of those.
            left = left.intersection(state.rereads).union(state.heirs)
            if left.count == before { pause(Self.pollInterval) }
        }
    }

    func pause(_ duration: Duration) {
        let end = Instant.now + duration
        while !exchange.isOver, Instant.now < end, exchange.look.reset == nil { exchange.wait(min(end.duration(since: .now), .milliseconds(250))) }
    }

    /// Rests while the live stream is behind.
    func waitForLag(_ run: inout Run) throws(Interruption) {
        guard let limit = run.progress.request.maxLagBytes else { return }
        while let lag = observations.texts.withLock({ observations.lagByteCount($0) }), lag > limit {
            // Without the number, which is another each time: each word is a line of the log and a record.
            note("waits for the live stream, which is more than \(Amount.bytes(limit)) behind (--max-lag)", &run)
            try requireWanted(&run)
            pause(Self.pollInterval)
        }
        note(nil, &run)
    }

    func walkChunk(
        _ table: BackfillProgress.Table, _ reading: TableReading, _ pass: BackfillProgress.Pass, behind cursor: ReadRows.TupleID, limit: Int, _ run: inout Run
    ) throws(Interruption) -> (BackfillChunk, limit: Int) {
        var rows = ReadRows(columnCount: reading.columnNames.count)
        // So many blocks hold about a chunk's bytes; where rows are wide, the number of rows ends it.
        let limit = run.pace.limited(min(limit, Self.chunkRowLimit), liveRate: run.target == nil ? exchange.look.liveRate : nil)
        let end = min(UInt64(pass.blocks), UInt64(cursor.block) + 1 + UInt64(Self.chunkByteCount) / 4096)
        let facts = try chunk(table, pass, reading.lockStatement, &run) { (_, sql) throws(PostgresError) in
            try sql.execute(TableReading.walkSettings)
            try sql.forEachRow(reading.walkStatement(behind: cursor, before: end, limit: limit), timeout: Self.statementTimeout) { row in
                // The rest of what was asked for is asked for again.
                guard rows.byteCount < 4 * Self.chunkByteCount else { return }
                Self.take(row, &rows)
            }
        }
        try requireSame(facts, pass)
        let isCut = rows.count >= limit || rows.byteCount >= 4 * Self.chunkByteCount
        let stop = isCut ? rows.ids.last ?? cursor : ReadRows.TupleID(block: UInt32(clamping: end), offset: 0)
        let next = rows.count == 0 ? limit * 4 : max(1, min(4 * limit, rows.count * Self.chunkByteCount / max(1, rows.byteCount)))
        return (try finished(rows, facts, table, reading, pass.filenode, end: stop, keys: [], &run), next)
    }

    func readAgain(
        _ keys: [RowKey], _ table: BackfillProgress.Table, _ reading: TableReading, _ pass: BackfillProgress.Pass, _ run: inout Run
    ) throws(Interruption) {
        var left = keys[...]
        while !left.isEmpty {
            guard exchange.makeRoom() else { throw exchange.isOver ? .over : .reset }
            let asked = Array(left.prefix(run.rereadLimit))
            left = left.dropFirst(asked.count)
            var rows = ReadRows(columnCount: reading.columnNames.count)
            var isCut = false
            let facts = try chunk(table, pass, reading.lockPublishedStatement, &run) { (_, sql) throws(PostgresError) in
                try sql.forEachRow(reading.keyStatement(asked), timeout: Self.statementTimeout) { row in
                    isCut = isCut || rows.byteCount >= 4 * Self.chunkByteCount
                    if !isCut { Self.take(row, &rows) }
                }
            }
            try requireSame(facts, pass)
            // What is not taken is looked for the next time; of a part of the rows nobody can tell which keys have none.
            run.rereadLimit = isCut ? max(1, rows.count) : min(Self.rereadChunkCount, 2 * run.rereadLimit)
            try put(
                try finished(rows, facts, table, reading, pass.filenode, end: nil, keys: isCut ? [] : asked, &run), &run)
            if let rest = run.pace.rest(after: rows.count) { pause(rest) }
        }
    }

    /// All rows of a table without key, at once.
    func readWhole(_ table: BackfillProgress.Table, _ reading: TableReading, _ run: inout Run) throws(Interruption) {
        // Somebody wrote to the table meanwhile: at a quieter moment perhaps nobody does.
        if run.wholeAttemptCount > 0 { pause(.milliseconds(Int64.random(in: 1...min(2_000, 50 << Int64(min(6, run.wholeAttemptCount)))))) }
        run.wholeAttemptCount += 1
        if run.wholeAttemptCount > 10 { note("waits for a moment in which nobody writes to \(table.name), which has no key", &run) }
        // Where there are always some, they wait for as long as it takes to read the table, if the role may have that.
        let locksOut = run.wholeAttemptCount > 2 && !run.mayNotLockOut
        var rows = ReadRows(columnCount: reading.columnNames.count)
        let facts: ChunkFacts
        do throws(Interruption) {
            let lock = locksOut ? reading.lockWritersOutStatement : reading.lockStatement
            facts = try chunk(table, run.progress.pass, lock, &run) { (_, sql) throws(PostgresError) in
                try sql.forEachRow(reading.wholeStatement, timeout: Self.statementTimeout) { row in
                    if rows.byteCount <= Self.keylessMemoryLimit { Self.take(row, &rows) }
                }
            }
        } catch {
            guard locksOut, case .postgres(let refusal) = error, refusal.isRefusedLock else { throw error }
            if refusal.isInsufficientPrivilege { run.mayNotLockOut = true }
            throw .again
        }
        guard rows.byteCount <= Self.keylessMemoryLimit else {
            throw .failed("\(table.name) has no key and too many rows to be read at once: give the table a primary key, or leave the table out")
        }
        if let pass = run.progress.pass { try requireSame(facts, pass) }
        var chunk = try finished(
            rows, facts, table, reading, facts.filenode, end: ReadRows.TupleID(block: UInt32(clamping: facts.blocks), offset: 0), keys: [], &run)
        chunk.isWhole = true
        try perform(.rows(chunk))
        run.wholeAttemptCount = 0
    }

    static func take(_ row: borrowing BorrowedRow, _ rows: inout ReadRows) {
        guard let id = row.text(0).flatMap({ ReadRows.TupleID($0) }), row.columnCount == rows.columnCount + 1 else { return }
        rows.beginRow(id)
        for column in 0..<rows.columnCount { rows.append(row.value(column + 1)) }
    }

    func finished(
        _ rows: ReadRows, _ facts: ChunkFacts, _ table: BackfillProgress.Table, _ reading: TableReading, _ filenode: UInt32, end: ReadRows.TupleID?, keys: [RowKey],
        _ run: inout Run
    ) throws(Interruption) -> BackfillChunk {
        var chunk = BackfillChunk(
            rows: rows, snapshot: facts.snapshot, lsn: facts.lsn, readAt: .now, table: table, filenode: filenode, keyIndices: reading.keyIndices, end: end, keys: keys)
        guard run.encoder != nil else { return chunk }
        var requests: [CastRequest] = []
        for index in 0..<rows.count {
            requests += run.encoder?.requests(of: index, in: rows) ?? []
        }
        let answers: [CastAnswer] = try ask(&run) { (run, sql) throws(PostgresError) in
            var answers: [CastAnswer] = []
            for request in requests { answers.append(try run.casts.json(of: request.text, castFrom: request.typeOID, over: sql)) }
            return answers
        }
        chunk.casts = (requests, answers)
        return chunk
    }

    // MARK: - Ends

    /// - Parameter why: It is not read to its end, for this.
    func endTable(_ run: inout Run, why: String? = nil) throws(Interruption) {
        run.progress = exchange.look.progress ?? run.progress
        guard let table = run.progress.table, let appended = exchange.look.appended else { return try nextTable(&run) }
        if !run.progress.isTableEnded {
            let known = run.progress.unread
            run.progress.ended(isUnread: why != nil)
            // Before the marker: behind it nobody looks at the table again.
            if run.progress.unread != known { try perform(.progress(run.progress)) }
            var body = BackfillMarker.Backfill(id: run.progress.run, .table)
            name(table, &body)
            body.pass = run.progress.pass?.number ?? 1
            body.rows = appended.rows
            body.digest = appended.digest.description
            body.why = why
            try mark(body, tableOID: table.oid, filenode: run.progress.pass?.filenode ?? 0, block: BackfillMarker.endBlock, &run)
        }
        if why == nil { logger.notice("a table of the backfill is read", metadata: ["table": "\(table.name)", "rows": .stringConvertible(appended.rows)]) }
        try nextTable(&run)
    }

    func nextTable(_ run: inout Run) throws(Interruption) {
        run.progress.tableIndex += 1
        run.progress.pass = nil
        run.progress.isStale = nil
        run.progress.why = nil
        try perform(.progress(run.progress))
    }
}
