import Console
import History
import Pipeline

/// `backfill` as JSON, and for people.
struct BackfillListing: Encodable {
    struct Run: Encodable {
        var run: UInt64
        var state: String
        var wish: String?
        var tables: [String]
        var table: String?
        var condition: String?
        var operation: String?
        var rate: Int?
        var maxLagBytes: UInt64?
        var intoStream: String?
        var intoPrefix: String?
        var rows: UInt64
        var estimatedRows: UInt64?
        var fraction: Double?
        var why: String?
        var requestedAt: String?
        var requestedBy: String?
        var startedAt: String?
        var endedAt: String?
    }

    struct Table: Encodable {
        var table: String
        var partition: String?
        var rows: UInt64
        var bytes: UInt64
        var refusal: String?
    }

    /// What a dry run finds.
    struct Plan: Encodable {
        var tables: [Table]
        var rows: UInt64
        var bytes: UInt64
        var seconds: Double
        var rate: Int
        var rateAssumed: Bool
        var stream: String
        var prefix: String?
        var newStream: Bool
        var freeBytes: UInt64?
        var refusal: String?
    }

    let schema = "slotstream.backfill/1"
    var runs: [Run]?
    var plan: Plan?

    init(_ runs: [BackfillRun]) { self.runs = runs.map(Run.init) }

    init(_ plan: BackfillPlan) {
        self.plan = Plan(
            tables: plan.candidates.map(Table.init), rows: plan.rows, bytes: plan.byteCount, seconds: plan.seconds, rate: plan.rate,
            rateAssumed: plan.isRateAssumed, stream: plan.stream, prefix: plan.prefix, newStream: plan.isNewStream,
            freeBytes: plan.room.freeBytes, refusal: plan.room.refusal)
    }

    func json() -> String { ContractJSON.text(self) }

    // MARK: - Plans for people

    /// What a run would read, and into what.
    static func summary(_ plan: BackfillPlan) -> String {
        let rate = "\(Amount.count(UInt64(plan.rate))) rows/s\(plan.isRateAssumed ? " (assumed: no rate is set)" : "")"
        return
            "about \(Amount.count(plan.rows)) rows, \(Amount.bytes(plan.byteCount)) of events into stream \(plan.stream)\(plan.isNewStream ? " (new)" : ""), about \(Amount.time(plan.seconds)) at \(rate)"
    }

    /// A line a table, and what they come to.
    static func text(_ plan: BackfillPlan, on screen: Screen) -> String {
        let rows = plan.candidates.map { candidate in
            [
                Table(candidate).name, Amount.count(candidate.estimatedRows), Amount.bytes(candidate.byteCount),
                candidate.refusal == nil ? "" : "cannot be read",
            ]
        }
        let room = plan.room.freeBytes.map { "stream \(plan.stream) has room for \(Amount.bytes($0))" } ?? "stream \(plan.stream) has no limit of size"
        return [screen.table([["TABLE", "ROWS", "SIZE", ""]] + rows, droppable: [2]), summary(plan), room].joined(separator: "\n")
    }

    // MARK: - Runs for people

    /// A line a run under a header, and why one does not go on.
    static func table(_ runs: [BackfillRun], on screen: Screen) -> String {
        let rows = runs.map { run in
            [
                String(run.run), state(run), Amount.count(run.rows), run.fraction.map { "\(Int($0 * 100)) %" } ?? "-",
                run.request?.requestedBy ?? "-", ShownText.names(run.tables, limit: 3),
            ]
        }
        let whys = runs.compactMap { run in run.why.map { screen.wrapped("run \(run.run): \(ShownText.line($0))", indent: 2) } }
        return ([screen.table([["RUN", "STATE", "ROWS", "DONE", "BY", "TABLES"]] + rows, droppable: [4, 3])] + whys).joined(separator: "\n")
    }

    /// `run 3: walking, public.tb_order, 123,000 rows, 41 %`
    static func line(_ run: BackfillRun) -> String {
        var parts = [state(run), ShownText.names(run.tables, limit: 3), "\(Amount.count(run.rows)) rows"]
        if let fraction = run.fraction { parts.append("\(Int(fraction * 100)) %") }
        return "run \(run.run): \(parts.joined(separator: ", "))"
    }

    /// Columns of what stands behind a bar, which has one line.
    private static let noteWidth = 40

    /// What there is to say while it is waited for.
    static func note(_ run: BackfillRun) -> String {
        let note =
            switch run.state {
            case .waiting: "waiting for the streamer or another run"
            case .paused: "paused\(run.why.map { ": \($0)" } ?? "")"
            case .preparing: run.why ?? "preparing"
            case .walking, .failed, .done, .cancelled: run.why ?? run.table ?? ""
            }
        return Screen.cut(ShownText.line(note), to: noteWidth)
    }

    /// With what is wanted of it and not done yet.
    private static func state(_ run: BackfillRun) -> String {
        let wish: String? =
            switch run.pendingWish {
            case .pause: "to be paused"
            case .run: "to go on"
            case .cancel: "to be cancelled"
            case nil: nil
            }
        return run.state.rawValue + (wish.map { " (\($0))" } ?? "")
    }
}

extension BackfillListing.Run {
    init(_ run: BackfillRun) {
        self.init(
            run: run.run, state: run.state.rawValue, wish: run.pendingWish?.rawValue, tables: run.tables, table: run.table,
            condition: run.request?.condition, operation: run.request?.operation, rate: run.request?.rate,
            maxLagBytes: run.request?.maxLagBytes, intoStream: run.request?.intoStream, intoPrefix: run.request?.intoPrefix, rows: run.rows,
            estimatedRows: run.estimatedRows, fraction: run.fraction, why: run.why, requestedAt: run.request?.requestedAt,
            requestedBy: run.request?.requestedBy, startedAt: run.startedAt, endedAt: run.endedAt)
    }
}

extension BackfillListing.Table {
    init(_ candidate: BackfillCandidate) {
        let table = candidate.table
        self.init(
            table: table.published, partition: table.name == table.published ? nil : table.name, rows: candidate.estimatedRows,
            bytes: candidate.byteCount, refusal: candidate.refusal)
    }

    fileprivate var name: String { partition.map { "\(table) (partition \($0))" } ?? table }
}
