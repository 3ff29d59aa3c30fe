import ArgumentParser
import Console
import History
import Logging
import Operations
import Pipeline
import Settings
import WAL

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Prove that the stream holds every committed change, once and in order.",
        usage: "slotstream verify [<range> | --rows <table>] [<options>]",
        discussion: """
            Where the replay window reaches, PostgreSQL sends the changes again, from a copy of the anchor slot, and each event is \
            compared with the stored one: missing, doubled, reordered, altered, foreign. Before that, `verify` checks what the stream \
            itself can prove: ids strictly rising, transactions whole, no sequence missing. Rows of a backfill are proven by their \
            numbers and by the markers behind their tables. The streamer runs on. Without a range: all that the stream holds. \
            Exit code 1: there are differences.

            --rows folds the events of one table and its rows of backfills, from the first to the last in the stream, and compares the result with the rows \
            of the table at a snapshot, column by column. Transactions that the snapshot does not show are left out on both sides. \
            Rows that were last changed before the stream began are counted as older, and with --strict as missing. Masked and \
            excluded columns are not compared. The role needs SELECT on the table.

            Example:
              slotstream verify
              slotstream verify --rows public.tb_order
              slotstream verify --from-time 1h --json | jq .differences
            """)

    @OptionGroup var options: ConfigurationOptions
    @OptionGroup(title: "Range") var range: RangeOptions

    @OptionGroup(title: "Rows") var rows: RowsOptions

    @Option(help: ArgumentHelp("Read from a copy of this slot, not of the anchor slot.", valueName: "name"))
    var slot: String?

    @Flag(name: .customLong("json"), help: "One JSON object (schema slotstream.verify/1).")
    var isJSON = false

    func validate() throws {
        guard rows.table != nil else { return }
        let range = range.range
        guard range.from == nil, range.to == nil, slot == nil else {
            throw ValidationError("--rows compares a whole table: leave the range and --slot out")
        }
    }

    func run() async throws {
        let values = try options.load().values
        if let table = rows.table { return try rows.compare(table, values.streamer, isJSON: isJSON) }
        var logger = StderrLogHandler.makeLogger(values.log, counting: PrometheusRegistry())
        logger.logLevel = max(logger.logLevel, .warning)
        let line = ProgressLine("verify")
        let outcome: Verification.Outcome
        do {
            outcome = try Verification.run(
                values.streamer, Verification.Request(range: range.range, slot: slot), logger: logger
            ) { fraction, outcome in
                line.update(
                    count: outcome.compared + outcome.provenByStream, fraction: fraction,
                    note: outcome.isVerified ? "" : "\(outcome.differenceCounts.values.reduce(0, +)) differences")
            }
        } catch {
            line.end()
            throw error
        }
        line.end()
        if isJSON {
            Output.data(VerifyListing(outcome).json())
        } else {
            for text in VerifyListing.lines(outcome) { Output.data(text) }
        }
        if !outcome.isVerified { throw ExitCode(ExitStatus.findings.rawValue) }
    }
}

/// `verify` as JSON, and for people.
struct VerifyListing: Encodable {
    struct Range: Encodable {
        var fromLsn: String?
        var toLsn: String?
        var fromSequence: UInt64?
        var toSequence: UInt64?
    }

    struct Difference: Encodable {
        var kind: String
        var id: String?
        var lsn: String?
        var sequence: UInt64?
        var subject: String
        var expected: String?
        var stored: String?
        var remedy: String
    }

    struct Gap: Encodable {
        var sequence: UInt64
        var fromLsn: String
        var toLsn: String
        var reason: String
        var acceptedBy: String
        var at: String
    }

    let schema = "slotstream.verify/1"
    var stream: String
    var range: Range
    var compared: UInt64
    var transactions: UInt64
    var retired: UInt64
    var late: UInt64
    var accepted: UInt64
    var provenByStream: UInt64
    var read: UInt64
    var deletedSequences: UInt64
    var strays: UInt64
    var gaps: [Gap]
    var counts: [String: UInt64]
    var differences: [Difference]
    var verified: Bool

    init(_ outcome: Verification.Outcome) {
        stream = outcome.stream
        range = Range(
            fromLsn: outcome.walRange?.lowerBound.description, toLsn: outcome.walRange?.upperBound.description,
            fromSequence: outcome.sequences?.lowerBound, toSequence: outcome.sequences?.upperBound)
        compared = outcome.compared
        transactions = outcome.transactions
        retired = outcome.retired
        late = outcome.late
        accepted = outcome.accepted
        provenByStream = outcome.provenByStream
        read = outcome.read
        deletedSequences = outcome.deletedCount
        strays = outcome.strays
        gaps = outcome.gaps.map {
            Gap(
                sequence: $0.sequence, fromLsn: $0.fromLSN.description, toLsn: $0.toLSN.description, reason: $0.reason,
                acceptedBy: $0.acceptedBy, at: $0.at)
        }
        counts = Dictionary(
            uniqueKeysWithValues: Verification.Difference.Kind.allCases.map { ($0.rawValue, outcome.differenceCounts[$0] ?? 0) })
        differences = outcome.differences.map {
            Difference(
                kind: $0.kind.rawValue, id: $0.id, lsn: $0.lsn?.description, sequence: $0.sequence, subject: $0.subject,
                expected: $0.expected, stored: $0.stored, remedy: Self.remedy($0.kind))
        }
        verified = outcome.isVerified
    }

    func json() -> String { ContractJSON.text(self) }

    /// Differences that the screen shows.
    private static let shownLimit = 20

    static func lines(_ outcome: Verification.Outcome) -> [String] {
        var lines: [String] = []
        if let range = outcome.walRange {
            lines.append("window   reaches back to \(range.lowerBound)\(outcome.provenByStream > 0 ? "; older: only what the stream itself can prove" : "")")
        } else {
            lines.append("window   nothing to compare with: \(outcome.windowObstacle ?? "the range ends before the window"). Only what the stream itself can prove")
        }
        let sequences = outcome.sequences.map { "sequences \($0.lowerBound) to \($0.upperBound)" } ?? "nothing in this range"
        lines.append("stream   \(outcome.stream): \(sequences), \(outcome.deletedCount) of them not there, \(outcome.strays) messages of others")
        if outcome.provenByStream > 0 { lines.append("         \(outcome.provenByStream) events by their ids: strictly rising, transactions whole") }
        let counts = Verification.Difference.Kind.allCases.filter { $0 != .backfill }.map { "\(outcome.differenceCounts[$0] ?? 0) \($0.rawValue)" }
        lines.append("source   \(outcome.transactions) transactions decoded again, \(outcome.compared) events compared: \(counts.joined(separator: ", "))")
        if outcome.read > 0 {
            let count = outcome.differenceCounts[.backfill] ?? 0
            lines.append("backfill \(outcome.read) rows by their numbers and their tables' markers: \(count) difference\(count == 1 ? "" : "s")")
        }
        if outcome.retired > 0 { lines.append("         \(outcome.retired) events were removed by the stream's limits") }
        if outcome.late > 0 { lines.append("         \(outcome.late) events are stored late, by mend") }
        for gap in outcome.gaps {
            lines.append("gaps     accepted by \(gap.acceptedBy), \(gap.at), \(gap.reason): \(gap.fromLSN) to \(gap.toLSN)")
        }
        if outcome.accepted > 0 { lines.append("         \(outcome.accepted) events lie in accepted gaps") }
        for difference in outcome.differences.prefix(shownLimit) { lines += text(difference) }
        let total = outcome.differenceCounts.values.reduce(0, +)
        if total > UInt64(shownLimit) { lines.append("… and \(total - UInt64(shownLimit)) more: slotstream verify --json") }
        for kind in Verification.Difference.Kind.allCases where (outcome.differenceCounts[kind] ?? 0) > 0 {
            lines.append("\(kind.rawValue): \(remedy(kind))")
        }
        let extent = outcome.walRange.map { "from \($0.lowerBound) to \($0.upperBound)" } ?? sequences
        lines.append(outcome.isVerified ? "VERIFIED \(extent)" : "NOT VERIFIED: \(total) differences")
        return lines
    }

    private static func text(_ difference: Verification.Difference) -> [String] {
        let place = [
            difference.lsn.map { "LSN \($0)" }, difference.sequence.map { "sequence \($0)" }, difference.id,
        ].compactMap { $0 }
        var lines = ["\(difference.kind.rawValue)  \(difference.subject)  \(place.joined(separator: "  "))"]
        if let expected = difference.expected { lines.append("  \(difference.kind == .backfill ? "expected:  " : "PostgreSQL:") \(expected)") }
        if let stored = difference.stored { lines.append("  stream:     \(stored)") }
        return lines
    }

    /// What to do about a difference of this kind.
    private static func remedy(_ kind: Verification.Difference.Kind) -> String {
        switch kind {
        case .missing:
            "Somebody deleted these events, or JetStream lost them. Send them into another stream: slotstream replay --missing-only --into-prefix PREFIX"
        case .doubled: "Consumers skip them by Nats-Msg-Id. Find who wrote to the stream beside the streamer: slotstream check"
        case .reordered: "Find who wrote to the stream beside the streamer: slotstream check"
        case .altered: "If a rule for columns, masks or the format was changed since, this is the change. Otherwise find who wrote to the stream"
        case .foreign: "If an exclusion was added since, this is the change. Otherwise find who wrote to the stream"
        case .backfill: "Rows of a backfill are lost, doubled or moved. Find out which rows consumers lack: slotstream verify --rows TABLE. Then run the backfill of the table again"
        }
    }
}
