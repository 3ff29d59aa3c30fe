import History
import JetStreamPublishing
import Logging
import PGOutput
import PostgresReplication
import Threads
import WAL

/// Which run is carried out, and what becomes of it.
extension BackfillReader {
    func run() {
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
    func requests() -> (requests: BackfillRequests, revision: UInt64)? {
        guard connection.isConnected else { return nil }
        return try? BackfillDesk.requests(of: configuration.stream.name, connection)
    }

    func next(_ finished: [FinishedBackfill]) -> BackfillRequest? {
        // Whoever asks forgets the requests that are over, and no more are open than ends are kept: one that is over is among those.
        let over = Set(finished.map(\.run))
        return requests()?.requests.requests.first { $0.wish != .pause && !over.contains($0.run) && $0.isOf(streamCreated: session.streamCreated) }
    }

    /// Asks for the tables that the configuration names and that no run has read, in the place of an operator. Of a stream that was streamed to before it named any, those that are
    /// published by then need none.
    func requestNamed(_ state: BackfillExchange.State) {
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
        // Of a run that is over its end names some tables only, and its request is forgotten with the next one.
        let over = Set(state.finished.map(\.run))
        let done = Set(found.requests.filter { over.contains($0.run) && $0.isOf(streamCreated: session.streamCreated) }.flatMap(\.tables))
            .intersection(names).subtracting(state.covered ?? [])
        if !done.isEmpty {
            _ = exchange.perform(.covered(done.sorted()))
            return
        }
        let asked = found.requests.filter { $0.isOf(streamCreated: session.streamCreated) }.flatMap(\.tables)
        // The others come with the next request.
        let new = names.subtracting(state.covered ?? []).subtracting(asked).sorted().prefix(Self.namedTableLimit)
        guard !new.isEmpty else { return }
        var requests = found
        let request = BackfillRequest(
            run: 0, tables: Array(new), rate: configuration.backfill.rate, maxLagBytes: configuration.backfill.maxLagBytes,
            requestedAt: PostgresTimestamp.now.description, requestedBy: "on_first_start")
        // Where too many wait it is asked for later.
        guard requests.add(request, streamCreated: session.streamCreated, current: nil, finished: state.finished) != nil else { return }
        do throws(JetStreamError) {
            _ = try connection.bucketPut(
                CheckpointRecord.bucket, key: BackfillRequests.key(of: configuration.stream.name), value: requests.json(), expectedRevision: revision, timeout: .seconds(5))
        } catch {
            logger.info("cannot ask for a backfill yet", metadata: ["error": "\(error)"])
        }
    }

    func begin(_ request: BackfillRequest) {
        guard request.wish == .run else {
            let run = Run(
                BackfillProgress(request: request, startedAt: PostgresTimestamp.now.description, history: session.history), JSONCasts(configuration.casts) { _ in })
            return finish(run, .cancelled, "the run was cancelled")
        }
        logger.notice(
            "a backfill begins", metadata: ["run": .stringConvertible(request.run), "tables": "\(request.tables.joined(separator: ", "))", "by": "\(request.requestedBy)"])
        _ = exchange.takeReset()
        _ = exchange.perform(.progress(BackfillProgress(request: request, startedAt: PostgresTimestamp.now.description, history: session.history)))
    }

    /// Goes on with a run until it is over, interrupted, or the session ends.
    func goOn(_ progress: BackfillProgress) {
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
    func recover(_ run: inout Run, from interruption: Interruption) -> Bool {
        switch interruption {
        case .over: return false
        case .again: return goOn(&run, behind: exchange.interrupt())
        case .reset:
            return goOn(&run, behind: exchange.takeReset())
        case .wish(.pause): return rest(&run, .paused, nil)
        case .wish(.cancel):
            cancel(&run, "the run was cancelled")
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
    func goOn(_ run: inout Run, behind reset: BackfillExchange.Reset?, waiting why: String? = nil) -> Bool {
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
    func openTarget(_ run: inout Run) throws(Interruption) {
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
    func mark(
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
    func put(_ chunk: BackfillChunk, _ run: inout Run) throws(Interruption) {
        guard let target = run.target else { return exchange.send(.rows(chunk)) }
        do throws(StreamerError) {
            try target.store(chunk, cursor: exchange.look.cursor) { !exchange.isOver }
        } catch {
            throw .target(error)
        }
        try perform(.elsewhere(target.tail, chunk))
    }

    /// All of the run that is left.
    func step(_ run: inout Run) throws(Interruption) {
        if run.progress.history != session.history {
            cancel(&run, "the stream, the server's history or the options that select events are no longer those of its beginning")
            throw .over
        }
        if run.progress.state == .paused || run.progress.state == .failed { try waitForWish(&run) }
        // Also where each attempt fails before a table is walked.
        try requireWanted(&run)
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
        let shortfall = run.progress.shortfall
        if let shortfall, run.progress.unread?.count == run.progress.tables.count {
            cancel(&run, shortfall)
            throw .over
        }
        var body = BackfillMarker.Backfill(id: run.progress.run, .end)
        body.rows = exchange.look.appended?.finishedRows
        body.why = shortfall
        try mark(body, tableOID: 0, filenode: 0, block: BackfillMarker.endBlock, &run)
        finish(run, .done, shortfall)
        throw .over
    }

    func finish(_ run: borrowing Run, _ state: FinishedBackfill.State, _ why: String?, rows: UInt64? = nil) {
        let progress = run.progress
        let rows = rows ?? readRows(of: progress.run)
        let ended = FinishedBackfill(
            run: progress.run, state: state, tables: Array(Set(progress.tables.map(\.published)).sorted().prefix(FinishedBackfill.tableLimit)), rows: rows, startedAt: progress.startedAt,
            endedAt: PostgresTimestamp.now.description, why: why)
        while !exchange.isOver {
            _ = exchange.takeReset()
            if exchange.perform(.finished(ended)) { break }
        }
        logger.log(
            level: state == .done && why != nil ? .warning : .notice, state == .done ? "a backfill is done" : "a backfill was given up",
            metadata: [
                "run": .stringConvertible(progress.run), "rows": .stringConvertible(rows), "tables": .stringConvertible(ended.tables.count), "why": "\(why ?? "")",
            ])
    }

    /// Rows of the run that went out, as far as they are of no pass that began anew.
    func readRows(of run: UInt64) -> UInt64 {
        exchange.look.appended.map { $0.run == run ? $0.finishedRows + $0.rows : 0 } ?? 0
    }

    func cancel(_ run: inout Run, _ why: String) {
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
    func rest(_ run: inout Run, _ state: BackfillProgress.State, _ why: String?) -> Bool {
        exchange.interrupt()
        run.sql = nil
        run.progress = exchange.look.progress ?? run.progress
        run.progress.state = state
        run.progress.why = why
        if state == .failed {
            logger.error(
                "a backfill cannot go on", metadata: [
                    "run": .stringConvertible(run.progress.run), "why": "\(why ?? "")",
                    "hint": "Mend the cause. Then: slotstream backfill --resume \(run.progress.run)",
                ])
        } else {
            logger.notice("a backfill is paused", metadata: ["run": .stringConvertible(run.progress.run)])
        }
        while !exchange.isOver, !(exchange.perform(.pause) && exchange.perform(.progress(run.progress))) { _ = exchange.takeReset() }
        return !exchange.isOver
    }

    /// Waits until a run that rests is wanted again: one that failed, after it was paused.
    func waitForWish(_ run: inout Run) throws(Interruption) {
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

    func wish(of run: UInt64) -> BackfillRequest.Wish? { requests()?.requests.requests.first { $0.run == run }?.wish }

    /// Looks whether something else is wanted of the run, once in a while.
    func requireWanted(_ run: inout Run) throws(Interruption) {
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

    func perform(_ work: BackfillWork) throws(Interruption) {
        guard exchange.perform(work) else { throw exchange.isOver ? .over : .reset }
    }

    /// What it waits for, for whoever asks how the run goes.
    func note(_ text: String?, _ run: inout Run) {
        guard run.progress.why != text else { return }
        run.progress.why = text
        exchange.send(.note(text))
        if let text { logger.info("a backfill waits", metadata: ["run": .stringConvertible(run.progress.run), "why": "\(text)"]) }
    }
}
