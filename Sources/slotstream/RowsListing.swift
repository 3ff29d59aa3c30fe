import History
import Pipeline
import WAL

/// `verify --rows` as JSON.
struct RowsListing: Encodable {
    struct Rows: Encodable {
        var table: String
        var snapshot: String
        var throughLsn: String
        var firstSequence: UInt64
        var throughSequence: UInt64
        var deletedSequences: UInt64
        var events: Int
        var read: Int
        var leftOut: Int
        var compared: Int
        var partial: Int
        var older: Int
        var later: Int
        var withheld: Int
        var gaps: Int
        var passes: Int
        var hiddenColumns: [String]
        var differenceCount: Int
    }

    struct Difference: Encodable {
        var kind: String
        /// The key's values, as JSON; several in brackets.
        var key: String
        var columns: [String]?
        var lsn: String?
        var sequence: UInt64?
    }

    let schema = "slotstream.verify/1"
    var rows: Rows
    var differences: [Difference]

    init(_ report: RowsProof.Report) {
        rows = Rows(
            table: report.table, snapshot: report.snapshot, throughLsn: "\(report.throughLSN)", firstSequence: report.firstSequence,
            throughSequence: report.throughSequence, deletedSequences: report.deletedSequences, events: report.events, read: report.read,
            leftOut: report.leftOut, compared: report.compared, partial: report.partial, older: report.older, later: report.later,
            withheld: report.withheld, gaps: report.gaps, passes: report.passes,
            hiddenColumns: report.hiddenColumns, differenceCount: report.differenceCount)
        differences = report.differences.map {
            Difference(
                kind: $0.kind.rawValue, key: $0.key, columns: $0.columns.isEmpty ? nil : $0.columns,
                lsn: $0.lsn.map { "\($0)" }, sequence: $0.sequence)
        }
    }

    func json() -> String { ContractJSON.text(self) }

    /// For people.
    static func lines(_ report: RowsProof.Report) -> [String] {
        var lines = [
            "table    \(report.table) at snapshot \(report.snapshot), \(report.throughLSN)",
            "stream   sequences \(report.firstSequence) to \(report.throughSequence), \(report.events) events of the table folded",
            "rows     \(report.compared) in both, \(report.differenceCount) difference\(report.differenceCount == 1 ? "" : "s")",
        ]
        if report.read > 0 { lines.append("read     \(report.read) rows of backfills folded") }
        if report.deletedSequences > 0 { lines.append("deleted  \(report.deletedSequences) sequences are not there") }
        if report.leftOut > 0 { lines.append("left out \(report.leftOut) events of transactions, or rows of backfills, that the snapshot does not show") }
        if report.older > 0 {
            lines.append("older    \(report.older) rows that only the table has, perhaps from before the stream (--strict: missing)")
        }
        if report.later > 0 { lines.append("later    \(report.later) rows that a backfill read behind the snapshot: not compared") }
        if report.partial > 0 { lines.append("partial  \(report.partial) rows with columns that no event in the stream has") }
        if !report.hiddenColumns.isEmpty { lines.append("hidden   \(report.hiddenColumns.joined(separator: ", "))") }
        if report.withheld > 0 { lines.append("withheld \(report.withheld) changes without data, in quarantine or passed over") }
        if report.gaps > 0 { lines.append("gaps     \(report.gaps) accepted") }
        for difference in report.differences { lines.append(line(difference, report.table)) }
        let untold = report.differenceCount - report.differences.count
        if untold > 0 { lines.append("and \(untold) more differences") }
        lines.append(
            report.differenceCount == 0
                ? "VERIFIED: the stream and \(report.table) have the same rows"
                : "DIFFERENT: find the cause of each difference before consumers read the stream again")
        return lines
    }

    private static func line(_ difference: RowsProof.Difference, _ table: String) -> String {
        let key = ShownEvent.oneLine(difference.key)
        let place = difference.sequence.map { ", last event at sequence \($0), \(difference.lsn.map { "\($0)" } ?? "")" } ?? ""
        return switch difference.kind {
        case .missing: "missing  \(key): the table has the row, the stream has no event of the row"
        case .altered: "altered  \(key): \(difference.columns.joined(separator: ", ")) differ\(place)"
        case .foreign: "foreign  \(key): the stream has the row, the table does not\(place)"
        }
    }
}
