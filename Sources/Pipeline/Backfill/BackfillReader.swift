import Capture
import History
import JetStreamPublishing
import Logging
import PGOutput
import PostgresReplication
import Synchronization
import Threads
import WAL

/// Carries backfills out: looks for what is wanted, reads tables chunk by chunk, each in a snapshot of milliseconds, and hands their rows to the thread that reads the stream.
///
/// It has a thread and a connection of its own, and begins with each session where the record says that the one before was.
final class BackfillReader: Sendable {
    /// Between two looks at what is wanted.
    static let requestInterval = Duration.seconds(1)
    /// Tables of one request that the configuration names.
    private static let namedTableLimit = 200
    /// Between two looks for tables of `backfill.on_first_start` that no run has read.
    private static let tableInterval = Duration.seconds(15)
    /// Of a chunk's rows, about.
    static let chunkByteCount = 256 << 10
    /// Rows of a chunk, at most.
    static let chunkRowLimit = 4_000
    /// A table without a key is read whole, up to so many bytes.
    package static let keylessByteLimit: UInt64 = 8 << 20
    /// Of its rows in memory.
    private static let keylessMemoryLimit = 4 * Int(keylessByteLimit)
    /// Keys that are looked up at a time; and how many are waited for while the walk goes on.
    private static let rereadChunkCount = 500
    private static let rereadDueCount = 200
    /// For a statement of a chunk.
    private static let statementTimeout = Duration.seconds(60)
    private static let retryInterval = Duration.seconds(2)
    /// Between two looks at who holds a table, and at keys whose transactions are not shown yet.
    private static let pollInterval = Duration.milliseconds(200)

    /// What a session knows.
    struct Session: Sendable {
        var configuration: StreamerConfiguration
        var identity: SourceIdentity
        var streamCreated: String
        /// Of the tables' names, which are a part of the record.
        var tableByteLimit: Int
        /// Of which stream, history and options a run has to be.
        var history: String
        var server: ServerMark
        var columnRules: ColumnRules
    }

    private let session: Session
    private let exchange: BackfillExchange
    private let connection: JetStreamConnection
    private let observations: Observations
    private let failpoints: Failpoints
    private let logger: Logger

    init(
        _ session: Session, _ exchange: BackfillExchange, over connection: JetStreamConnection, observations: Observations, failpoints: Failpoints, logger: Logger
    ) {
        self.session = session
        self.exchange = exchange
        self.connection = connection
        self.observations = observations
        self.failpoints = failpoints
        self.logger = logger
    }

    private var configuration: StreamerConfiguration { session.configuration }

    /// Begins, on a thread of its own; it ends by itself soon after the exchange has.
    func start() throws(SystemError) { try OwnedThread(name: "backfill") { self.run() }.detach() }

    // MARK: - Runs

    /// Why it does not go on with a run now.
    private enum Interruption: Error {
        /// The session is over.
        case over
        /// What was in flight was given up: it is gone on with as that says.
        case reset
        /// The same is tried once more.
        case again
        /// Somebody wants the run paused, or given up.
        case wish(BackfillRequest.Wish)
        /// It cannot be gone on with before somebody has mended that.
        case failed(String)
        /// The connection, or one statement: tried again.
        case postgres(PostgresError)
        /// The stream of the run's own.
        case target(StreamerError)
    }

    /// What one run needs while it goes on.
    private struct Run: ~Copyable {
        var progress: BackfillProgress
        var sql: SQLConnection?
        var casts: JSONCasts
        /// Finds the values of rows that the database has to be asked about; nil: the table has none.
        var encoder: CastFinder?
        /// nil: the rows go into the live stream, or it is not opened yet.
        var target: BackfillTarget?
        var lastLookAt = Instant.now
        var lastRereadAt = Instant.now
        var pace: RowPace
        /// Keys that are looked up at a time: few where rows are large.
        var rereadLimit = BackfillReader.rereadChunkCount
        /// The role may not lock writers out.
        var mayNotLockOut = false
        /// How often a table without key was read in vain.
        var wholeAttemptCount = 0
        /// Why the table that is walked begins anew.
        var restartCause: String?
        /// It was emptied by an event.
        var isTruncated = false

        init(_ progress: BackfillProgress, _ casts: consuming JSONCasts) {
            self.progress = progress
            self.casts = casts
            pace = RowPace(rate: progress.request.rate)
        }
    }

    private func run() {
        while !exchange.isOver, !exchange.look.isReady { exchange.wait(.seconds(1)) }
        var lookedAt: Instant?
        var isFirst = true
        while !exchange.isOver {
            let state = exchange.look
            if var progress = state.progress {
                // What it failed for may be mended by now.
                if isFirst, progress.state == .failed {
                    progress.state = .walking
                    progress.why = nil
                    _ = exchange.perform(.progress(progress))
                }
                isFirst = false
                goOn(progress)
            } else if let request = next(state.finished) {
                begin(request)
            } else {
                if !configuration.backfill.onFirstStart.isEmpty, lookedAt.map({ Instant.now.duration(since: $0) >= Self.tableInterval }) ?? true {
                    lookedAt = .now
                    requestNamed(state)
                }
                exchange.wait(Self.requestInterval)
            }
        }
    }

    /// All that is wanted; nil: it cannot be asked now.
    private func requests() -> (requests: BackfillRequests, revision: UInt64)? {
        guard connection.isConnected,
            let entry = try? connection.bucketGet(
                CheckpointRecord.bucket, key: BackfillRequests.key(of: configuration.stream.name), timeout: .seconds(5))
        else { return nil }
        switch entry {
        case .value(let json, let revision): return BackfillRequests(json: json).map { ($0, revision) }
        case .deleted(let revision): return (BackfillRequests(), revision)
        case .bucketMissing, .keyMissing: return (BackfillRequests(), 0)
        }
    }

    private func next(_ finished: [FinishedBackfill]) -> BackfillRequest? {
        let over = Set(finished.map(\.run))
        // What is not kept any more is over too; one of another stream, which had this one's name, is none of ours.
        let oldest = finished.count < FinishedBackfill.limit ? 0 : over.min() ?? 0
        return requests()?.requests.requests.first {
            $0.wish != .pause && !over.contains($0.run) && $0.run > oldest && ($0.streamCreated ?? session.streamCreated) == session.streamCreated
        }
    }

    /// Asks for the tables that the configuration names and that no run has read, in the place of an operator. Of a stream that was streamed to before it named any, those that are
    /// published by then need none.
    private func requestNamed(_ state: BackfillExchange.State) {
        let patterns = configuration.backfill.onFirstStart
        guard let (found, revision) = requests() else { return }
        let candidates: [BackfillCandidate]
        do throws(StreamerError) {
            let sql = try StreamerError.ofPostgres { () throws(PostgresError) in try connect() }
            candidates = try BackfillTables.read(patterns: patterns, configuration, over: sql).candidates
        } catch {
            return logger.warning("the tables of backfill.on_first_start cannot be looked up yet", metadata: ["error": "\(error)"])
        }
        let names = Set(candidates.filter { $0.refusal == nil }.map(\.table.published))
        if state.covered == nil, state.isFirstDue != true {
            _ = exchange.perform(.covered(names.sorted()))
            return
        }
        let asked = found.requests.filter { ($0.streamCreated ?? session.streamCreated) == session.streamCreated }.flatMap(\.tables)
        // The others come with the next request.
        let new = names.subtracting(state.covered ?? []).subtracting(asked).sorted().prefix(Self.namedTableLimit)
        guard !new.isEmpty else { return }
        var requests = found
        let last = max(requests.requests.map(\.run).max() ?? 0, state.finished.map(\.run).max() ?? 0)
        var request = BackfillRequest(
            run: last + 1, tables: Array(new), rate: configuration.backfill.rate, maxLagBytes: configuration.backfill.maxLagBytes,
            requestedAt: PostgresTimestamp.now.description, requestedBy: "on_first_start")
        request.streamCreated = session.streamCreated
        requests.requests.append(request)
        requests.requests.removeFirst(max(0, requests.requests.count - BackfillRequests.limit))
        do throws(JetStreamError) {
            _ = try connection.bucketPut(
                CheckpointRecord.bucket, key: BackfillRequests.key(of: configuration.stream.name), value: requests.json(), expectedRevision: revision, timeout: .seconds(5))
        } catch {
            logger.info("cannot ask for a backfill yet", metadata: ["error": "\(error)"])
        }
    }

    private func begin(_ request: BackfillRequest) {
        guard request.wish == .run else {
            let run = Run(
                BackfillProgress(request: request, startedAt: PostgresTimestamp.now.description, history: session.history), JSONCasts(configuration.casts) { _ in })
            return finish(run, .cancelled, "it was cancelled")
        }
        logger.notice(
            "a backfill begins", metadata: ["run": .stringConvertible(request.run), "tables": "\(request.tables.joined(separator: ", "))", "by": "\(request.requestedBy)"])
        _ = exchange.takeReset()
        _ = exchange.perform(.progress(BackfillProgress(request: request, startedAt: PostgresTimestamp.now.description, history: session.history)))
    }

    /// Goes on with a run until it is over, interrupted, or the session ends.
    private func goOn(_ progress: BackfillProgress) {
        var run = Run(
            progress, JSONCasts(configuration.casts) { [logger] in logger.warning("a cast to json is not used", metadata: ["what": "\($0)"]) })
        while !exchange.isOver {
            do throws(Interruption) {
                try step(&run)
                return
            } catch {
                guard recover(&run, from: error) else { return }
            }
        }
    }

    /// - Returns: Whether to go on with the run.
    private func recover(_ run: inout Run, from interruption: Interruption) -> Bool {
        switch interruption {
        case .over: return false
        case .again: return goOn(&run, behind: exchange.interrupt())
        case .reset:
            return goOn(&run, behind: exchange.takeReset())
        case .wish(.pause): return rest(&run, .paused, nil)
        case .wish(.cancel):
            cancel(&run, "it was cancelled")
            return false
        case .wish(.run): return true
        case .failed(let why): return rest(&run, .failed, why)
        case .target(let error):
            run.target = nil
            if case .cancelled = error { return !exchange.isOver }
            if case .capture = error { return rest(&run, .failed, "a row cannot be sent: \(error)") }
            if case .stop = FailurePolicy.verdict(on: error) { return rest(&run, .failed, "\(error)") }
            return goOn(&run, behind: exchange.interrupt(), waiting: "\(error)")
        case .postgres(let error):
            run.sql = nil
            if error.isLasting { return rest(&run, .failed, refusal(&run) ?? "\(error)") }
            return goOn(&run, behind: exchange.interrupt(), waiting: "\(error)")
        }
    }

    /// - Parameter why: What it waits for before it tries again; nil: nothing.
    /// - Returns: Whether to go on with the run.
    private func goOn(_ run: inout Run, behind reset: BackfillExchange.Reset?, waiting why: String? = nil) -> Bool {
        run.progress = exchange.look.progress ?? run.progress
        switch reset {
        case .pending, nil: break
        case .table(let cause): run.restartCause = cause
        case .truncated(let relation): run.isTruncated = run.progress.table.map { RelationID($0.publishedOid) == relation } ?? false
        case .failed(let cause): return rest(&run, .failed, cause)
        }
        guard let why else { return true }
        note(why, &run)
        pause(Self.retryInterval)
        return true
    }

    /// Opens the stream of the run's own, if it has one.
    private func openTarget(_ run: inout Run) throws(Interruption) {
        guard run.target == nil, !run.progress.isForLiveStream else { return }
        do throws(StreamerError) {
            run.target = try BackfillTarget(run.progress, session) { !exchange.isOver }
        } catch {
            throw .target(error)
        }
        guard let tail = run.target?.tail else { return }
        try perform(.elsewhere(tail, nil))
        run.progress = exchange.look.progress ?? run.progress
    }

    /// Stores a marker, wherever the rows go.
    private func mark(
        _ body: BackfillMarker.Backfill, tableOID: UInt32, filenode: UInt32, block: UInt32, _ run: inout Run
    ) throws(Interruption) {
        guard let target = run.target else { return try perform(.marker(body, tableOID: tableOID, filenode: filenode, block: block)) }
        do throws(StreamerError) {
            try target.store(body, tableOID: tableOID, filenode: filenode, block: block) { !exchange.isOver }
        } catch {
            throw .target(error)
        }
        try perform(.elsewhere(target.tail, nil))
    }

    /// Hands rows on, wherever they go.
    private func put(_ chunk: BackfillChunk, _ run: inout Run) throws(Interruption) {
        guard let target = run.target else { return exchange.send(.rows(chunk)) }
        do throws(StreamerError) {
            try target.store(chunk, cursor: exchange.look.cursor) { !exchange.isOver }
        } catch {
            throw .target(error)
        }
        try perform(.elsewhere(target.tail, chunk))
    }

    /// All of the run that is left.
    private func step(_ run: inout Run) throws(Interruption) {
        if run.progress.history != session.history {
            cancel(&run, "the stream, the server's history or the options that select events are no longer those of its beginning")
            throw .over
        }
        if run.progress.state == .paused || run.progress.state == .failed { try waitForWish(&run) }
        if run.progress.tables.isEmpty { try lookUpTables(&run) }
        try openTarget(&run)
        if exchange.look.appended?.count ?? 0 == 0 || run.progress.isLost == true {
            var body = BackfillMarker.Backfill(id: run.progress.run, .begin)
            body.tables = Set(run.progress.tables.map(\.published)).sorted()
            body.condition = run.progress.request.condition
            if run.progress.isLost == true { body.why = "the stream has lost its end: all tables are read once more" }
            try mark(body, tableOID: 0, filenode: 0, block: 0, &run)
            run.progress.isLost = nil
            try perform(.progress(run.progress))
        }
        repeat {
            while run.progress.tableIndex < run.progress.tables.count { try walk(&run) }
        } while try hasMoreTables(&run)
        var body = BackfillMarker.Backfill(id: run.progress.run, .end)
        body.rows = exchange.look.appended?.finishedRows
        try mark(body, tableOID: 0, filenode: 0, block: BackfillMarker.endBlock, &run)
        finish(run, .done, nil)
        throw .over
    }

    private func finish(_ run: borrowing Run, _ state: FinishedBackfill.State, _ why: String?, rows: UInt64? = nil) {
        let progress = run.progress
        let rows = rows ?? readRows(of: progress.run)
        let ended = FinishedBackfill(
            run: progress.run, state: state, tables: Array(Set(progress.tables.map(\.published)).sorted().prefix(FinishedBackfill.tableLimit)), rows: rows, startedAt: progress.startedAt,
            endedAt: PostgresTimestamp.now.description, why: why)
        while !exchange.isOver {
            _ = exchange.takeReset()
            if exchange.perform(.finished(ended)) { break }
        }
        logger.notice(
            state == .done ? "a backfill is done" : "a backfill was given up",
            metadata: [
                "run": .stringConvertible(progress.run), "rows": .stringConvertible(rows), "tables": .stringConvertible(ended.tables.count), "why": "\(why ?? "")",
            ])
    }

    /// Rows of the run that went out, as far as they are of no pass that began anew.
    private func readRows(of run: UInt64) -> UInt64 {
        exchange.look.appended.map { $0.run == run ? $0.finishedRows + $0.rows : 0 } ?? 0
    }

    private func cancel(_ run: inout Run, _ why: String) {
        exchange.interrupt()
        let rows = readRows(of: run.progress.run)
        var body = BackfillMarker.Backfill(id: run.progress.run, .cancelled)
        body.why = why
        if run.progress.stored.count > 0 || exchange.look.appended?.count ?? 0 > 0 {
            while !exchange.isOver {
                do throws(Interruption) {
                    try openTarget(&run)
                    try mark(body, tableOID: 0, filenode: 0, block: BackfillMarker.endBlock, &run)
                    break
                } catch {
                    _ = exchange.takeReset()
                    // A stream of its own that is gone has no consumer to be told.
                    if case .target = error { break }
                }
            }
        }
        finish(run, .cancelled, why, rows: rows)
    }

    /// The run rests until somebody wants it otherwise.
    private func rest(_ run: inout Run, _ state: BackfillProgress.State, _ why: String?) -> Bool {
        exchange.interrupt()
        run.sql = nil
        run.progress = exchange.look.progress ?? run.progress
        run.progress.state = state
        run.progress.why = why
        if state == .failed {
            logger.error(
                "a backfill cannot go on", metadata: [
                    "run": .stringConvertible(run.progress.run), "why": "\(why ?? "")",
                    "hint": "Mend the cause. Then: slotstream backfill --pause \(run.progress.run), and slotstream backfill --resume \(run.progress.run)",
                ])
        } else {
            logger.notice("a backfill is paused", metadata: ["run": .stringConvertible(run.progress.run)])
        }
        while !exchange.isOver, !(exchange.perform(.pause) && exchange.perform(.progress(run.progress))) { _ = exchange.takeReset() }
        return !exchange.isOver
    }

    /// Waits until a run that rests is wanted again: one that failed, after it was paused.
    private func waitForWish(_ run: inout Run) throws(Interruption) {
        var wasPaused = run.progress.state == .paused
        while true {
            if exchange.isOver { throw .over }
            if let wish = wish(of: run.progress.run) {
                switch wish {
                case .cancel: throw .wish(.cancel)
                case .pause where !wasPaused:
                    wasPaused = true
                    run.progress = exchange.look.progress ?? run.progress
                    run.progress.state = .paused
                    try perform(.progress(run.progress))
                case .pause: break
                case .run where wasPaused:
                    run.progress = exchange.look.progress ?? run.progress
                    run.progress.state = .walking
                    run.progress.why = nil
                    logger.notice("a backfill goes on", metadata: ["run": .stringConvertible(run.progress.run)])
                    return try perform(.progress(run.progress))
                case .run: break
                }
            }
            if exchange.look.reset != nil { _ = exchange.takeReset() }
            exchange.wait(Self.requestInterval)
        }
    }

    private func wish(of run: UInt64) -> BackfillRequest.Wish? { requests()?.requests.requests.first { $0.run == run }?.wish }

    /// Looks whether something else is wanted of the run, once in a while.
    private func requireWanted(_ run: inout Run) throws(Interruption) {
        if exchange.isOver { throw .over }
        if exchange.look.reset != nil { throw .reset }
        guard Instant.now.duration(since: run.lastLookAt) >= Self.requestInterval else { return }
        run.lastLookAt = .now
        switch wish(of: run.progress.run) {
        case .pause: throw .wish(.pause)
        case .cancel: throw .wish(.cancel)
        case .run, nil: break
        }
    }

    private func perform(_ work: BackfillWork) throws(Interruption) {
        guard exchange.perform(work) else { throw exchange.isOver ? .over : .reset }
    }

    /// What it waits for, for whoever asks how the run goes.
    private func note(_ text: String?, _ run: inout Run) {
        guard run.progress.why != text else { return }
        run.progress.why = text
        exchange.send(.note(text))
        if let text { logger.info("a backfill waits", metadata: ["run": .stringConvertible(run.progress.run), "why": "\(text)"]) }
    }

    // MARK: - The server

    /// Lends the connection, which is made where there is none.
    private func ask<Answer>(
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

    private func connect() throws(PostgresError) -> SQLConnection {
        let sql = try SQLConnection(
            configuration.backfill.connection ?? configuration.source.connection, timeout: Self.statementTimeout, isReadOnly: true)
        try sql.execute("SET max_parallel_workers_per_gather = 0")
        return sql
    }

    /// What the request's patterns mean now.
    private func candidates(_ run: inout Run) throws(Interruption) -> [BackfillCandidate] {
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
    private func refusal(_ run: inout Run) -> String? {
        let oids = Set(run.progress.tables.map(\.oid))
        let refusals = (try? candidates(&run))?.filter { oids.contains($0.table.oid) }.compactMap(\.refusal) ?? []
        return refusals.isEmpty ? nil : refusals.joined(separator: "; ")
    }

    private func lookUpTables(_ run: inout Run) throws(Interruption) {
        try add(try candidates(&run), &run)
        run.progress.state = .walking
        try perform(.progress(run.progress))
    }

    /// Whether partitions were attached meanwhile: their rows have no events.
    private func hasMoreTables(_ run: inout Run) throws(Interruption) -> Bool {
        run.progress = exchange.look.progress ?? run.progress
        let (known, published) = (Set(run.progress.tables.map(\.oid)), Set(run.progress.tables.map(\.publishedOid)))
        let new = try candidates(&run).filter { !known.contains($0.table.oid) && published.contains($0.table.publishedOid) }
        guard !new.isEmpty else { return false }
        try add(new, &run)
        try perform(.progress(run.progress))
        return true
    }

    private func add(_ candidates: [BackfillCandidate], _ run: inout Run) throws(Interruption) {
        let refusals = candidates.compactMap(\.refusal)
        if !refusals.isEmpty { throw .failed(refusals.joined(separator: "; ")) }
        run.progress.tables += candidates.map(\.table)
        guard run.progress.tables.reduce(0, { $0 + $1.name.utf8.count + $1.published.utf8.count + 80 }) <= session.tableByteLimit else {
            throw .failed("the run has \(run.progress.tables.count) tables, which are too many for the checkpoint record: name fewer tables at a time")
        }
        run.progress.estimatedRows += candidates.reduce(0) { $0 + $1.estimatedRows }
    }

    // MARK: - One table

    /// Reads a table from where it stands to its end.
    private func walk(_ run: inout Run) throws(Interruption) {
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
        if run.progress.isStale == true { run.restartCause = run.restartCause ?? "rows of it may be missing in the stream" }
        if let pass = run.progress.pass, pass.fingerprint != reading.fingerprint { run.restartCause = run.restartCause ?? "the table was changed" }
        if run.progress.pass == nil || run.restartCause != nil || reading.keyColumns.isEmpty { try beginPass(table, reading, &run) }
        if reading.keyColumns.isEmpty { try readWhole(table, reading, &run) } else { try readChunks(table, reading, &run) }
        try endTable(&run)
    }

    /// Looks up how the table's rows are read, and has them written so; nil: it is gone, has another name, or is no longer published.
    private func describe(_ table: BackfillProgress.Table, _ run: inout Run) throws(Interruption) -> TableReading? {
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
    private func clearGround(_ table: BackfillProgress.Table, _ run: inout Run) throws(Interruption) {
        var noted: Set<String>?
        while true {
            try requireWanted(&run)
            let (holders, snapshot): ([TableHolder], TransactionSnapshot) = try ask(&run) { (_, sql) throws(PostgresError) in
                (try TableHolder.read(of: [table.oid, table.publishedOid], over: sql), try Self.snapshot(over: sql))
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

    private static func snapshot(over sql: borrowing SQLConnection) throws(PostgresError) -> TransactionSnapshot {
        let question = "SELECT pg_catalog.pg_current_snapshot(), pg_catalog.pg_current_wal_insert_lsn()"
        guard let row = try sql.query(question).first, row.count == 2, let text = row[0], let lsn = row[1].flatMap({ LSN($0) }),
            let snapshot = TransactionSnapshot(text, lsn: lsn)
        else { throw .protocolViolation(message: "cannot read the answer to: " + question) }
        return snapshot
    }

    private func beginPass(_ table: BackfillProgress.Table, _ reading: TableReading, _ run: inout Run) throws(Interruption) {
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

    private func name(_ table: BackfillProgress.Table, _ body: inout BackfillMarker.Backfill) {
        body.table = table.published
        body.oid = table.oid
        if table.oid != table.publishedOid { body.partition = table.name }
    }

    /// The walk, with the rows between that have to be read again; and those that are left behind it.
    private func readChunks(_ table: BackfillProgress.Table, _ reading: TableReading, _ run: inout Run) throws(Interruption) {
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
            left.formIntersection(exchange.look.rereads)
            if left.count == before { pause(Self.pollInterval) }
        }
    }

    private func pause(_ duration: Duration) {
        let end = Instant.now + duration
        while !exchange.isOver, Instant.now < end, exchange.look.reset == nil { exchange.wait(min(end.duration(since: .now), .milliseconds(250))) }
    }

    /// Rests while the live stream is behind.
    private func waitForLag(_ run: inout Run) throws(Interruption) {
        guard let limit = run.progress.request.maxLagBytes else { return }
        while let lag = observations.texts.withLock({ observations.lagByteCount($0) }), lag > limit {
            note("waits for the live stream, which is \(Amount.bytes(lag)) behind (--max-lag)", &run)
            try requireWanted(&run)
            pause(Self.pollInterval)
        }
        note(nil, &run)
    }

    private func walkChunk(
        _ table: BackfillProgress.Table, _ reading: TableReading, _ pass: BackfillProgress.Pass, behind cursor: ReadRows.TupleID, limit: Int, _ run: inout Run
    ) throws(Interruption) -> (BackfillChunk, limit: Int) {
        var rows = ReadRows(columnCount: reading.columnNames.count)
        // So many blocks hold about a chunk's bytes; where rows are wide, the number of rows ends it.
        let limit = run.pace.limited(min(limit, Self.chunkRowLimit))
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

    private func readAgain(
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
    private func readWhole(_ table: BackfillProgress.Table, _ reading: TableReading, _ run: inout Run) throws(Interruption) {
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

    private static func take(_ row: borrowing BorrowedRow, _ rows: inout ReadRows) {
        guard let id = row.text(0).flatMap({ ReadRows.TupleID($0) }), row.columnCount == rows.columnCount + 1 else { return }
        rows.beginRow(id)
        for column in 0..<rows.columnCount { rows.append(row.value(column + 1)) }
    }

    private func finished(
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

    // MARK: - One chunk

    /// What a chunk's snapshot says beside the rows.
    private struct ChunkFacts {
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
    private func chunk(
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
            guard row[4] == session.server.text else {
                throw .connectionFailed(message: "the rows would be read from another server, or another start of it, than the one that is streamed", sqlState: nil)
            }
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

    private func requireSame(_ facts: ChunkFacts, _ pass: BackfillProgress.Pass) throws(Interruption) {
        guard !facts.isSame(as: pass) else { return }
        exchange.reset(.table(why: facts.filenode != pass.filenode ? "the table was rewritten" : "the table, or what is published of it, was changed"))
        throw .reset
    }

    // MARK: - Ends

    /// - Parameter why: It is not read to its end, for this.
    private func endTable(_ run: inout Run, why: String? = nil) throws(Interruption) {
        run.progress = exchange.look.progress ?? run.progress
        guard let table = run.progress.table, let appended = exchange.look.appended else { return try nextTable(&run) }
        if !run.progress.isTableEnded {
            var body = BackfillMarker.Backfill(id: run.progress.run, .table)
            name(table, &body)
            body.pass = run.progress.pass?.number ?? 1
            body.rows = appended.rows
            body.digest = appended.digest.description
            body.why = why
            try mark(body, tableOID: table.oid, filenode: run.progress.pass?.filenode ?? 0, block: BackfillMarker.endBlock, &run)
        }
        logger.notice("a table of the backfill is read", metadata: ["table": "\(table.name)", "rows": .stringConvertible(appended.rows)])
        try nextTable(&run)
    }

    private func nextTable(_ run: inout Run) throws(Interruption) {
        run.progress.tableIndex += 1
        run.progress.pass = nil
        run.progress.isStale = nil
        run.progress.why = nil
        try perform(.progress(run.progress))
    }
}

/// Finds the values of a table's rows whose types are cast to json by code in the database.
struct CastFinder: ~Copyable {
    private var encoder: ReadEncoder
    private let table: ReadEncoder.Table

    /// - Returns: nil: the table has no such values.
    init?(_ relation: Relation, _ description: TableDescription, _ session: BackfillReader.Session) throws(CaptureError) {
        encoder = try ReadEncoder(
            configuration: session.configuration.capture, functions: session.configuration.captureFunctions, identity: session.identity, payloadLimit: .max / 4)
        table = encoder.table(relation, description, operation: "READ") { _ in 0 }
        guard table.mayNeedCasts else { return nil }
    }

    mutating func requests(of index: Int, in rows: ReadRows) -> [CastRequest] { encoder.requests(of: index, in: rows, table) }
}

extension PostgresError {
    /// Whether a lock was refused: it was not to be had in time, or may not be had.
    fileprivate var isRefusedLock: Bool {
        guard case .server(let sqlState, _, _, _, _, _) = self else { return false }
        return sqlState == "55P03" || isInsufficientPrivilege
    }

    fileprivate var isInsufficientPrivilege: Bool {
        guard case .server(let sqlState, _, _, _, _, _) = self else { return false }
        return sqlState == "42501"
    }

    /// Whether the same statement fails again until somebody has mended something: it is refused for what it is, or for what it finds in the rows.
    fileprivate var isLasting: Bool {
        guard case .server(let sqlState, _, _, _, _, _) = self else { return false }
        // A table or a schema of that name is not there any more: what there is instead is looked up.
        if ["42P01", "3F000"].contains(sqlState) { return false }
        return ["22", "42", "0A", "P0", "XX"].contains { sqlState.hasPrefix($0) }
    }
}
