/// One run, as request and checkpoint record tell of it together.
package struct BackfillRun: Sendable, Equatable {
    package enum State: String, Sendable {
        /// The streamer has not come to it.
        case waiting
        case preparing, walking, paused, failed
        case done, cancelled

        /// Nothing more comes of it.
        package var isOver: Bool { self == .done || self == .cancelled }
    }

    package var run: UInt64
    package var state: State
    /// nil: it is over, and no request of it is kept.
    package var request: BackfillRequest?
    /// The tables' names; while it waits, the patterns that were asked for.
    package var tables: [String]
    /// The one that is walked.
    package var table: String?
    package var rows: UInt64 = 0
    package var estimatedRows: UInt64?
    /// From 0 to 1; nil while it waits.
    package var fraction: Double?
    package var why: String?
    /// RFC 3339.
    package var startedAt: String?
    package var endedAt: String?

    private init(_ run: UInt64, _ state: State, _ request: BackfillRequest?, tables: [String]) {
        self.run = run
        self.state = state
        self.request = request
        self.tables = tables
    }

    /// What somebody wants of it that the streamer has not done yet: pause, run or cancel.
    package var pendingWish: BackfillRequest.Wish? {
        guard let wish = request?.wish, !state.isOver else { return nil }
        return switch wish {
        case .cancel: wish
        case .pause: state == .paused ? nil : wish
        case .run: state == .paused ? wish : nil
        }
    }

    /// All that is known of, by number.
    package static func all(_ requests: BackfillRequests, _ record: CheckpointRecord?) -> [BackfillRun] {
        var runs: [UInt64: BackfillRun] = [:]
        for request in requests.requests where request.isOf(streamCreated: record?.streamCreated) {
            // One that is not begun rests without a word in the record.
            runs[request.run] = BackfillRun(request.run, request.wish == .pause ? .paused : .waiting, request, tables: request.tables)
        }
        if let progress = record?.backfill {
            // What is wanted of it is what the request says now, not what it said when the run began.
            runs[progress.run] = of(progress, runs[progress.run]?.request ?? progress.request)
        }
        for finished in record?.finishedBackfills ?? [] {
            var run = BackfillRun(
                finished.run, finished.state == .done ? .done : .cancelled, runs[finished.run]?.request, tables: finished.tables)
            run.rows = finished.rows
            run.fraction = finished.state == .done ? 1 : nil
            run.why = finished.why
            run.startedAt = finished.startedAt
            run.endedAt = finished.endedAt
            runs[finished.run] = run
        }
        return runs.values.sorted { $0.run < $1.run }
    }

    private static func of(_ progress: BackfillProgress, _ request: BackfillRequest) -> BackfillRun {
        let state: State =
            switch progress.state {
            case .preparing: .preparing
            case .walking: .walking
            case .paused: .paused
            case .failed: .failed
            }
        // A partitioned table has one name, however many of its partitions are read.
        var names: [String] = []
        for table in progress.tables where names.last != table.published { names.append(table.published) }
        var run = BackfillRun(progress.run, state, request, tables: names.isEmpty ? request.tables : names)
        run.table = progress.table?.name
        run.rows = progress.rows
        run.estimatedRows = progress.tables.isEmpty ? nil : progress.estimatedRows
        run.fraction = progress.fraction
        run.why = progress.why
        run.startedAt = progress.startedAt
        return run
    }
}

extension BackfillRequest {
    /// Whether it was put for the stream that is there: one that had its name is another. nil: nobody knows when that was created.
    package func isOf(streamCreated created: String?) -> Bool {
        guard let created, let streamCreated else { return true }
        return streamCreated == created
    }
}

extension BackfillRequests {
    /// Runs that are not over, at most: no more than the ends that the record keeps, or one that is over would look like one that waits.
    package static let openLimit = FinishedBackfill.limit

    /// Adds a request under the next number, for the stream of the record, and forgets those that are over and those of another stream.
    /// - Returns: Its number; nil: ``openLimit`` are not over.
    package mutating func add(_ request: BackfillRequest, _ record: CheckpointRecord?) -> UInt64? {
        add(request, streamCreated: record?.streamCreated, current: record?.backfill?.run, finished: record?.finishedBackfills ?? [])
    }

    /// The same for a stream of which this is known beside its record.
    /// - Parameter current: The run that is under way.
    package mutating func add(_ request: BackfillRequest, streamCreated: String?, current: UInt64?, finished: [FinishedBackfill]) -> UInt64? {
        let over = Set(finished.map(\.run))
        let last = ([current ?? 0] + requests.map(\.run) + over).max() ?? 0
        let open = requests.filter { !over.contains($0.run) && $0.isOf(streamCreated: streamCreated) }
        guard open.count < Self.openLimit else { return nil }
        var added = request
        added.run = last + 1
        added.streamCreated = streamCreated
        requests = open + [added]
        return added.run
    }

    /// Changes what is wanted of a run.
    /// - Returns: Whether there is such a request.
    package mutating func want(_ wish: BackfillRequest.Wish, of run: UInt64) -> Bool {
        guard let index = requests.firstIndex(where: { $0.run == run }) else { return false }
        requests[index].wish = wish
        return true
    }
}
