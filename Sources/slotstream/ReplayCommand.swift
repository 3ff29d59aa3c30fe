import ArgumentParser
import Console
import History
import Logging
import Operations
import Pipeline
import Settings
import WAL

struct ReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Send a range of the past again, into another stream.",
        usage: "slotstream replay --into-prefix <prefix> [<options>]",
        discussion: """
            The live stream, its ids and its consumers are untouched, and the streamer runs on. An event has the id \
            <message id>.r.<replay id>, and the same body as in the live stream. Events come from the replay window (a copy of the \
            anchor slot). Older events come from the live stream. Without a range, `replay` sends all that the window reaches.

            --into-prefix sends to the stream that takes these subjects, and creates a stream if there is none. After Ctrl-C or a \
            crash, the same command with --replay-id goes on behind the last event that was stored.

            Example:
              slotstream replay --from-time 1h --entity Order --dry-run
              slotstream replay --from-time 1h --into-prefix replay.today --rate 500
            """)

    @OptionGroup var options: ConfigurationOptions
    @OptionGroup(title: "Range") var range: RangeOptions

    @Option(help: "Only events of this entity, or of this table.")
    var entity: String?

    @Option(help: ArgumentHelp("Only events of this table, as schema.table.", valueName: "schema.table"))
    var table: String?

    @Option(help: "Only events of this operation.")
    var operation: String?

    @Option(name: .customLong("into-prefix"), help: ArgumentHelp("Replace the prefix of the subjects by this one.", valueName: "prefix"))
    var intoPrefix: String?

    @Option(name: .customLong("into-stream"), help: ArgumentHelp("Send to this stream.", valueName: "name"))
    var intoStream: String?

    @Flag(name: .customLong("missing-only"), help: "Send only what the target does not hold yet.")
    var isMissingOnly = false

    @Option(name: .customLong("from"), help: ArgumentHelp("Read the events from here: auto, wal or stream.", valueName: "source"))
    var source = "auto"

    @Option(help: ArgumentHelp("Read from a copy of this slot, not of the anchor slot.", valueName: "name"))
    var slot: String?

    @Option(help: ArgumentHelp("At most so many events a second.", valueName: "events"))
    var rate: Int?

    @Option(name: .customLong("replay-id"), help: ArgumentHelp("Go on with the replay of this id.", valueName: "id"))
    var replayID: String?

    @Flag(name: .customLong("dry-run"), help: "Count the events by subject, send nothing.")
    var isDryRun = false

    @Flag(name: .customLong("json"), help: "One JSON object (schema slotstream.replay/1).")
    var isJSON = false

    func validate() throws {
        if intoPrefix == nil, intoStream == nil, !isDryRun {
            throw ValidationError("Name the target: --into-prefix PREFIX or --into-stream NAME. To send nothing, use --dry-run")
        }
        if Replay.Source(rawValue: source) == nil { throw ValidationError("--from takes auto, wal or stream, not \"\(source)\"") }
        if let rate, rate < 1 { throw ValidationError("--rate takes a number from 1 on") }
        if let table, table.split(separator: ".").count != 2 {
            throw ValidationError("--table takes schema.table, such as public.tb_order, not \"\(table)\"")
        }
        let isToken = replayID.map { (1...32).contains($0.utf8.count) && $0.utf8.allSatisfy(Self.isTokenByte) } ?? true
        if !isToken { throw ValidationError("--replay-id takes up to 32 characters of A-Z a-z 0-9 _ -") }
    }

    func run() async throws {
        let values = try options.load().values
        var logger = StderrLogHandler.makeLogger(values.log, counting: PrometheusRegistry())
        logger.logLevel = max(logger.logLevel, .warning)
        var request = Replay.Request(range: range.range, replayID: replayID ?? Self.newID())
        request.source = Replay.Source(rawValue: source) ?? .auto
        request.filter = EventFilter(entity: entity, operation: operation, table: table)
        request.slot = slot
        request.intoPrefix = intoPrefix
        request.intoStream = intoStream
        request.isMissingOnly = isMissingOnly
        request.rate = isDryRun ? nil : rate
        request.isDryRun = isDryRun
        request.isResumed = replayID != nil
        let line = ProgressLine(isDryRun ? "counting" : "replay \(request.replayID)")
        let outcome: Replay.Outcome
        do {
            outcome = try Replay.run(
                values.streamer, request, failpoints: try .fromEnvironment(logger), logger: logger,
                onBegin: { begun in
                    guard !isDryRun else { return }
                    Output.error("replay \(request.replayID) into stream \(begun.stream)\(begun.isNewStream ? ", which was created" : ""). Ctrl-C stops; --replay-id \(request.replayID) goes on\n")
                },
                onProgress: { line.update(count: $0.published + $0.skipped, fraction: $0.fraction) })
        } catch {
            line.end()
            throw error
        }
        line.end()
        if isJSON {
            Output.data(ReplayListing(outcome).json())
        } else {
            for text in ReplayListing.lines(outcome, isDryRun: isDryRun) { Output.data(text) }
        }
        if let entity, outcome.bySubject.isEmpty, outcome.skipped == 0, !outcome.otherEntities.isEmpty {
            Output.error("no event of \(entity) in this range. The range holds: \(outcome.otherEntities.sorted().joined(separator: ", "))\n")
        }
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private static func newID() -> String { "r" + String(UInt32.random(in: .min ... .max), radix: 36) }
}

/// `replay` as JSON, and for people.
private struct ReplayListing: Encodable {
    struct Reach: Encodable {
        var windowLsn: String?
        var streamLsn: String?
        var streamTime: String?
    }

    let schema = "slotstream.replay/1"
    var replayId: String
    var stream: String?
    var published: UInt64
    var skipped: UInt64
    var fromStream: UInt64
    var bytes: UInt64
    var bySubject: [String: UInt64]
    var fromLsn: String?
    var toLsn: String?
    var fromTime: String?
    var toTime: String?
    var reach: Reach

    init(_ outcome: Replay.Outcome) {
        replayId = outcome.replayID
        stream = outcome.stream.isEmpty ? nil : outcome.stream
        published = outcome.published
        skipped = outcome.skipped
        fromStream = outcome.fromStream
        bytes = outcome.byteCount
        bySubject = outcome.bySubject
        fromLsn = outcome.firstLSN?.description
        toLsn = outcome.lastLSN?.description
        fromTime = outcome.firstTime?.description
        toTime = outcome.lastTime?.description
        reach = Reach(
            windowLsn: outcome.reach.windowLSN?.description, streamLsn: outcome.reach.streamLSN?.description,
            streamTime: outcome.reach.streamTime?.description)
    }

    func json() -> String { ContractJSON.text(self) }

    static func lines(_ outcome: Replay.Outcome, isDryRun: Bool) -> [String] {
        let bounds = [outcome.firstLSN.map { "\($0)–\(outcome.lastLSN ?? $0)" }, outcome.firstTime.map { "\($0)–\(outcome.lastTime ?? $0)" }]
        let verb = isDryRun ? "would be sent" : "sent to stream \(outcome.stream)"
        var lines = [(["\(outcome.published) events \(verb)"] + bounds.compactMap { $0 } + ["\(outcome.byteCount) bytes"]).joined(separator: ", ")]
        if outcome.skipped > 0 { lines.append("\(outcome.skipped) events are there already") }
        if outcome.fromStream > 0 { lines.append("\(outcome.fromStream) of them from the live stream: the replay window does not reach them") }
        for (subject, count) in outcome.bySubject.sorted(by: { $0.key < $1.key }) { lines.append("  \(count)  \(subject)") }
        lines.append("the replay window reaches back to \(outcome.reach.windowLSN?.description ?? "nothing (there is no anchor slot)")")
        lines.append(
            "the live stream reaches back to \(outcome.reach.streamLSN?.description ?? "nothing (it holds no event)")\(outcome.reach.streamTime.map { ", \($0)" } ?? "")")
        if isDryRun { lines.append("The live stream, its ids and its consumers are untouched. Nothing was sent.") }
        return lines
    }
}
