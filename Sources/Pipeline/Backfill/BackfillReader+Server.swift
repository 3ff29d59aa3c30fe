import History
import PostgresReplication

/// What is asked of the server beside rows: a connection, and what a run's patterns mean.
extension BackfillReader {
    /// Lends the connection, which is made where there is none.
    func ask<Answer>(
        _ run: inout Run, _ question: (inout Run, borrowing SQLConnection) throws(PostgresError) -> Answer
    ) throws(Interruption) -> Answer {
        do throws(PostgresError) {
            let sql = if let known = run.sql.take() { known } else { try connect() }
            let answer = try question(&run, sql)
            run.sql = consume sql
            return answer
        } catch {
            throw .postgres(error)
        }
    }

    func connect() throws(PostgresError) -> SQLConnection {
        let sql = try SQLConnection(
            configuration.backfill.connection ?? configuration.source.connection, timeout: Self.statementTimeout, isReadOnly: true, isDirect: true)
        // What a pattern means is asked of the catalogue here: of another database, it would be other tables.
        try requireSource(try ServerMark.read(over: sql))
        try sql.execute("SET max_parallel_workers_per_gather = 0")
        try TableReading.prepare(over: sql)
        return sql
    }

    func requireSource(_ mark: ServerMark) throws(PostgresError) {
        if let refusal = mark.refusal(streaming: session.server) { throw .connectionFailed(message: refusal, sqlState: nil) }
    }

    /// What the request's patterns mean now.
    func candidates(_ run: inout Run) throws(Interruption) -> [BackfillCandidate] {
        let found: Result<(candidates: [BackfillCandidate], unmatched: [String]), StreamerError> = try ask(&run) { (run, sql) throws(PostgresError) in
            let answer = Result { () throws(StreamerError) in
                try BackfillTables.read(patterns: run.progress.request.tables, configuration, over: sql)
            }
            if case .failure(.postgres(let error)) = answer { throw error }
            return answer
        }
        switch found {
        case .failure(let error): throw .failed("\(error)")
        case .success(let tables):
            if !tables.unmatched.isEmpty, run.progress.tables.isEmpty {
                throw .failed("no published table matches \(tables.unmatched.joined(separator: ", "))")
            }
            return tables.candidates
        }
    }

    /// What forbids to read one of the tables now, with the way out; nil: nothing that is known.
    func refusal(_ run: inout Run) -> String? {
        let oids = Set(run.progress.tables.map(\.oid))
        let refusals = (try? candidates(&run))?.filter { oids.contains($0.table.oid) }.compactMap(\.refusal) ?? []
        return refusals.isEmpty ? nil : refusals.joined(separator: "; ")
    }

    func lookUpTables(_ run: inout Run) throws(Interruption) {
        try add(try candidates(&run), &run)
        run.progress.state = .walking
        try perform(.progress(run.progress))
    }

    /// Whether partitions were attached meanwhile, or tables took the place and the name of one that is read: their rows have no events.
    func hasMoreTables(_ run: inout Run) throws(Interruption) -> Bool {
        run.progress = exchange.look.progress ?? run.progress
        let tables = run.progress.tables
        let (known, published, names) = (Set(tables.map(\.oid)), Set(tables.map(\.publishedOid)), Set(tables.map(\.published)))
        let found = try candidates(&run)
        let new = found.filter { !known.contains($0.table.oid) && (published.contains($0.table.publishedOid) || names.contains($0.table.published)) }
        guard !new.isEmpty else {
            run.progress.settleUnread(published: Set(found.map(\.table.publishedOid)))
            return false
        }
        try add(new, &run)
        try perform(.progress(run.progress))
        return true
    }

    func add(_ candidates: [BackfillCandidate], _ run: inout Run) throws(Interruption) {
        let refusals = candidates.compactMap(\.refusal)
        if !refusals.isEmpty { throw .failed(refusals.joined(separator: "; ")) }
        run.progress.tables += candidates.map(\.table)
        guard run.progress.tables.reduce(0, { $0 + $1.name.utf8.count + $1.published.utf8.count + 80 }) <= session.tableByteLimit else {
            throw .failed("the run has \(run.progress.tables.count) tables, which are too many for the checkpoint record: name fewer tables at a time")
        }
        run.progress.estimatedRows += candidates.reduce(0) { $0 + $1.estimatedRows }
    }
}

extension PostgresError {
    /// Whether a lock was refused: it was not to be had in time, or may not be had.
    var isRefusedLock: Bool {
        guard case .server(let sqlState, _, _, _, _, _) = self else { return false }
        return sqlState == "55P03" || isInsufficientPrivilege
    }

    var isInsufficientPrivilege: Bool {
        guard case .server(let sqlState, _, _, _, _, _) = self else { return false }
        return sqlState == "42501"
    }

    /// Whether the same statement fails again until somebody has mended something: it is refused for what it is, or for what it finds in the rows.
    var isLasting: Bool {
        guard case .server(let sqlState, _, _, _, _, _) = self else { return false }
        // A table or a schema of that name is not there any more: what there is instead is looked up.
        if ["42P01", "3F000"].contains(sqlState) { return false }
        return ["22", "42", "0A", "P0", "XX"].contains { sqlState.hasPrefix($0) }
    }
}
