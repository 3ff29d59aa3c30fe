import ArgumentParser
import Console
import History
import Logging
import Operations
import Pipeline
import Settings

struct MendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mend", abstract: "Store the events that a stream lacks behind its end, on purpose.",
        usage: "slotstream mend (--by <name> | --dry-run) [<options>]",
        discussion: """
            Use `mend` after a stop with exit code 76 and the reason hole_found: another writer's message took the place of an event. \
            Nothing is lost: the slot still has the missing events. `mend` stores a marker on {prefix}._slotstream.HOLE with the \
            ids of the missing events, and then each missing event once, behind the stream's end. Consumers read these events late. \
            If consumers need the order, begin a new stream instead. After exit code 73 and the reason history_diverged, `mend` \
            passes over a message with a forged id, and names this message in the marker. `mend` can be run again at any time.

            Example:
              slotstream mend --dry-run
              slotstream mend --by "ann, incident 42"
            """)

    @OptionGroup var options: ConfigurationOptions

    @Option(name: .customLong("by"), help: "Your name; the marker holds the name.")
    var acceptedBy: String?

    @Flag(name: .customLong("dry-run"), help: "Show the missing events, store nothing.")
    var isDryRun = false

    @Flag(name: .customLong("json"), help: "One JSON object (schema slotstream.mend/1).")
    var isJSON = false

    func validate() throws {
        if acceptedBy == nil, !isDryRun { throw ValidationError("--by NAME is missing. To store nothing, use --dry-run") }
    }

    func run() async throws {
        let values = try options.load().values
        var logger = StderrLogHandler.makeLogger(values.log, counting: PrometheusRegistry())
        logger.logLevel = max(logger.logLevel, .warning)
        let outcome = try Mend.run(
            values.streamer, acceptance: Acceptance(acceptedBy: acceptedBy ?? "", isDryRun: isDryRun),
            failpoints: try .fromEnvironment(logger), logger: logger)
        if isJSON {
            Output.data(MendListing(outcome).json())
        } else {
            for line in Self.lines(outcome) { Output.data(line) }
        }
        if isDryRun, outcome.isNeeded {
            Output.error("nothing was stored. Store the missing events: slotstream mend --by NAME\n")
            throw ExitCode(ExitStatus.findings.rawValue)
        }
    }

    private static func lines(_ outcome: Mend.Outcome) -> [String] {
        guard outcome.isNeeded else { return ["nothing is missing: the stream holds every event that the slot has"] }
        let verb = outcome.markerSequence == nil ? "missing" : "stored late"
        var lines = outcome.missing.map { "\(verb): \($0)" }
        lines += outcome.forged.map { "sequence \($0) has a forged id" }
        if let deleted = outcome.deleted {
            lines.append("sequences \(deleted.lowerBound) to \(deleted.upperBound) were deleted before the streamer compared them")
        }
        if let sequence = outcome.markerSequence {
            lines.append("marker: sequence \(sequence). Start the streamer: slotstream run")
        }
        return lines
    }
}

/// `mend` as JSON.
private struct MendListing: Encodable {
    let schema = "slotstream.mend/1"
    var missing: [String]
    var forged: [UInt64]
    var deleted: [UInt64]?
    var markerSequence: UInt64?

    init(_ outcome: Mend.Outcome) {
        missing = outcome.missing
        forged = outcome.forged
        deleted = outcome.deleted.map { [$0.lowerBound, $0.upperBound] }
        markerSequence = outcome.markerSequence
    }

    func json() -> String { ContractJSON.text(self) }
}
