import ArgumentParser
import Console
import History
import Logging
import Operations
import Pipeline
import Settings
import WAL

struct RewindCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rewind", abstract: "Rebuild a lost stream from the replay window.",
        usage: "slotstream rewind (--by <name> | --dry-run) [<options>]",
        discussion: """
            Use `rewind` when the stream is gone, or was created again and is empty. The streamer must be stopped. The live slot goes \
            back to where the anchor slot stands, and a new stream begins there: every event from there on is published again, with \
            the same id and in the same order. A marker on {prefix}._slotstream.GAP tells consumers what was before. Consumers that \
            were lost with the stream must be created again, and skip by Nats-Msg-Id what they have handled. `rewind` shows this, and \
            asks. `rewind` can be run again at any time.

            Example:
              slotstream rewind --dry-run
              slotstream rewind --by "ann, incident 42"
            """)

    @OptionGroup var options: ConfigurationOptions

    @Option(name: .customLong("by"), help: "Your name; the marker holds the name.")
    var acceptedBy: String?

    @Flag(name: .customLong("yes"), help: "Do not ask.")
    var isConfirmed = false

    @Flag(name: .customLong("dry-run"), help: "Show what would be published again, change nothing.")
    var isDryRun = false

    @Flag(name: .customLong("json"), help: "One JSON object (schema slotstream.rewind/1).")
    var isJSON = false

    func validate() throws {
        if acceptedBy == nil, !isDryRun { throw ValidationError("--by NAME is missing. To change nothing, use --dry-run") }
    }

    func run() async throws {
        let values = try options.load().values
        var logger = StderrLogHandler.makeLogger(values.log, counting: PrometheusRegistry())
        logger.logLevel = max(logger.logLevel, .warning)
        let configuration = values.streamer
        let outcome = try Rewind.run(
            configuration, acceptance: Acceptance(acceptedBy: acceptedBy ?? "", isDryRun: isDryRun),
            failpoints: try .fromEnvironment(logger), logger: logger, onDoubt: Output.doubt, onSlotWait: Output.slotWait
        ) { planned in
            if isConfirmed { return true }
            for line in Self.lines(planned, consumer: configuration.consumer?.name) { Output.error(line + "\n") }
            Output.error("Rebuild stream \(planned.stream)? Type the name of the stream: ")
            return readLine(strippingNewline: true) == planned.stream
        }
        guard let outcome else { throw ValidationError("nothing was changed") }
        if isJSON {
            Output.data(RewindListing(outcome).json())
        } else {
            for line in Self.lines(outcome, consumer: configuration.consumer?.name) { Output.data(line) }
            for object in outcome.created { Output.data("created: \(object)") }
            if let sequence = outcome.markerSequence { Output.data("gap marker: sequence \(sequence)") }
            if !isDryRun { Output.data("Start the streamer, which publishes the events again: slotstream run") }
        }
        if isDryRun {
            Output.error("nothing was changed. Rebuild the stream: slotstream rewind --by NAME\n")
            throw ExitCode(ExitStatus.findings.rawValue)
        }
    }

    private static func lines(_ outcome: Rewind.Outcome, consumer: String?) -> [String] {
        var lines = [
            "stream \(outcome.stream) \(outcome.isStreamMissing ? "is gone" : "is empty"). Anchor slot \(outcome.anchor) reaches back to \(outcome.anchorLSN)",
            "can be rebuilt: \(outcome.eventCount) events up to \(outcome.endLSN), with the same ids and in the same order",
        ]
        if outcome.firstLSN < outcome.anchorLSN {
            lines.append("lost: the changes before \(outcome.anchorLSN)\(outcome.firstLSN.isValid ? ", from \(outcome.firstLSN) on" : ""). A marker says so")
        }
        let made = consumer.map { " \($0) is created again." } ?? ""
        let lost =
            switch outcome.lostConsumers {
            case nil: "all consumers were lost with the stream.\(made) Create the others again."
            case []?: "no durable consumer was lost with the stream.\(made)"
            case let names?: "lost with the stream: \(names.map(ShownText.line).joined(separator: ", ")).\(made) Create the others again."
            }
        lines.append("consumers: \(lost) Consumers skip handled events by Nats-Msg-Id")
        return lines
    }
}

/// `rewind` as JSON.
private struct RewindListing: Encodable {
    let schema = "slotstream.rewind/1"
    var stream: String
    var streamMissing: Bool
    var anchor: String
    var anchorLsn: String
    var firstLsn: String?
    var endLsn: String
    var events: UInt64
    var lostConsumers: [String]?
    var created: [String]
    var markerSequence: UInt64?

    init(_ outcome: Rewind.Outcome) {
        stream = outcome.stream
        streamMissing = outcome.isStreamMissing
        anchor = outcome.anchor
        anchorLsn = outcome.anchorLSN.description
        firstLsn = outcome.firstLSN.isValid ? outcome.firstLSN.description : nil
        endLsn = outcome.endLSN.description
        events = outcome.eventCount
        lostConsumers = outcome.lostConsumers
        created = outcome.created
        markerSequence = outcome.markerSequence
    }

    func json() -> String { ContractJSON.text(self) }
}
