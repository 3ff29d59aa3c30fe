package import History

extension StreamerStatus {
    /// How far the run has come that is under way, as the checkpoint record tells it.
    package struct Backfill: Codable, Sendable, Equatable {
        /// Those that a run under way can have.
        static let states = BackfillProgress.State.allCases.map(\.rawValue)

        package var run: UInt64
        /// One of ``states``.
        package var state: String
        /// The names under which the rows are published.
        package var tables: [String]
        /// The one that is read, by its own name.
        package var table: String?
        package var rows: UInt64
        package var estimatedRows: UInt64?
        /// From 0 to 1.
        package var fraction: Double
        /// Why it rests, or cannot go on.
        package var why: String?

        package init(run: UInt64, state: String, tables: [String], table: String? = nil, rows: UInt64, fraction: Double, why: String? = nil) {
            self.run = run
            self.state = state
            self.tables = tables
            self.table = table
            self.rows = rows
            self.fraction = fraction
            self.why = why
        }

        /// - Returns: nil: none is under way.
        package init?(_ record: CheckpointRecord) {
            guard let progress = record.backfill, let run = BackfillRun.all(BackfillRequests(), record).first(where: { $0.run == progress.run }) else { return nil }
            self.init(
                run: run.run, state: run.state.rawValue, tables: run.tables, table: run.table, rows: run.rows, fraction: run.fraction ?? 0,
                why: run.why)
            estimatedRows = run.estimatedRows
        }
    }
}
