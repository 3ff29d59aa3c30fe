import ArgumentParser
import Logging
import Operations
import Pipeline
import Settings

struct MendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mend", abstract: "Store the events that a stream lacks behind its end, on purpose.",
        discussion: """
            After a stop with exit code 76 and the reason hole_found: a message of somebody else took the place of one of ours. \
            Nothing is lost: the slot still has what is missing. This reads it from the slot, stores a marker on \
            {prefix}._slotstream.HOLE that names it, and then each missing event once, behind the stream's end. Consumers see those \
            late; where their order is essential, begin a new stream instead. A message whose id is forged (exit code 73, \
            history_diverged) is passed over, and named in the marker too. Safe to run again, also after it was interrupted.

            Example:
              slotstream mend --dry-run
              slotstream mend --by "ann, incident 42"
            """)

    @OptionGroup var options: ConfigurationOptions

    @Option(name: .customLong("by"), help: "Who does it; stored in the marker.")
    var acceptedBy: String?

    @Flag(name: .customLong("dry-run"), help: "Say what is missing, store nothing.")
    var isDryRun = false

    @Flag(name: .customLong("json"), help: "One JSON object (schema slotstream.mend/1).")
    var isJSON = false

    func validate() throws {
        if acceptedBy == nil, !isDryRun { throw ValidationError("--by NAME says who stores events late; --dry-run stores nothing") }
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
            Output.error("nothing was stored: slotstream mend --by NAME stores what is missing\n")
            throw ExitCode(ExitStatus.findings.rawValue)
        }
    }

    private static func lines(_ outcome: Mend.Outcome) -> [String] {
        guard outcome.isNeeded else { return ["nothing is missing: all that the stream holds is what the slot decodes"] }
        let verb = outcome.markerSequence == nil ? "missing" : "stored late"
        var lines = outcome.missing.map { "\(verb): \($0)" }
        lines += outcome.forged.map { "sequence \($0) has an id that looks like ours, and is none of ours" }
        if let deleted = outcome.deleted {
            lines.append("sequences \(deleted.lowerBound) to \(deleted.upperBound) were deleted before it was known what they were")
        }
        if let sequence = outcome.markerSequence {
            lines.append("marker: sequence \(sequence); start the streamer again")
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
