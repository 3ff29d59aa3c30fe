import ArgumentParser
import Console
import History
import Logging
import Operations
import Pipeline
import Settings
import WAL

struct SkipCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "skip", abstract: "Pass over the one event that the streamer stopped for, on purpose.",
        usage: "slotstream skip --at <LSN> (--by <name> | --dry-run) [<options>]",
        discussion: """
            Use `skip` after a stop with exit code 65 and the reason poison_event. `skip` stores a marker on \
            {prefix}._slotstream.SKIP in the place of the event: the stream lacks this one event, and no other. Use the position \
            that the stop names, such as "0/16B3748 change 3": LSN and number together are the position of exactly one event. \
            Without --change, the first event at the LSN that cannot be sent is meant. When the streamer stops for another event \
            of the same transaction, run `skip` again with --change. Whatever else stands at the position is refused, and \
            nothing is done. `skip` can be run again at any time.

            To lose nothing, use events.on_poison = "quarantine" instead.

            Example:
              slotstream skip --at 0/16B3748 --change 3 --by "ann, incident 42"
            """)

    @OptionGroup var options: ConfigurationOptions

    @Option(name: .customLong("at"), help: "The LSN of the event, as the stop names the LSN.")
    var at: String

    @Option(name: .customLong("change"), help: "The number of the change in its transaction, as the stop names the number.")
    var change: UInt64?

    @Option(name: .customLong("by"), help: "Your name; the marker holds the name.")
    var acceptedBy: String?

    @Flag(name: .customLong("dry-run"), help: "Show the event, store nothing.")
    var isDryRun = false

    @Flag(name: .customLong("json"), help: "One JSON object (schema slotstream.skip/1).")
    var isJSON = false

    func validate() throws {
        if acceptedBy == nil, !isDryRun { throw ValidationError("--by NAME is missing. To store nothing, use --dry-run") }
        // A placeholder stands where a text shows the command.
        if LSN(at) == nil, at != "LSN" { throw ValidationError("--at \(at) is no LSN, such as 0/16B3748") }
    }

    func run() async throws {
        guard let lsn = LSN(at) else { throw ValidationError("--at \(at) is no LSN, such as 0/16B3748") }
        let values = try options.load().values
        var logger = StderrLogHandler.makeLogger(values.log, counting: PrometheusRegistry())
        logger.logLevel = max(logger.logLevel, .error)
        let answer = try Skip.run(
            values.streamer, Skip.Request(lsn: lsn, change: change),
            acceptance: Acceptance(acceptedBy: acceptedBy ?? "", isDryRun: isDryRun),
            failpoints: try .fromEnvironment(logger), logger: logger)
        switch answer {
        case .refused(let why): throw InputError(message: "\(why). Nothing was done")
        case .passedOver(let outcome):
            if isJSON {
                Output.data(SkipListing(outcome).json())
            } else {
                for line in lines(outcome) { Output.data(line) }
            }
            guard isDryRun else { return }
            Output.error("nothing was stored. Pass over the event: slotstream skip --at \(outcome.lsn) --change \(outcome.change) --by NAME\n")
            throw ExitCode(ExitStatus.findings.rawValue)
        }
    }

    private func lines(_ outcome: Skip.Outcome) -> [String] {
        let verb = isDryRun ? "would pass over" : outcome.what == nil ? "passed over already" : "passed over"
        let who = outcome.acceptedBy.isEmpty ? "" : ", by \(outcome.acceptedBy)"
        var lines = ["\(verb): \(outcome.what ?? "change \(outcome.change) at \(outcome.lsn)")\(who)"]
        if let sequence = outcome.sequence { lines.append("marker: \(outcome.subject), sequence \(sequence)") }
        if let next = outcome.next { lines.append("the next event that cannot be sent: \(next)") }
        if !isDryRun, outcome.next == nil { lines.append("Start the streamer: slotstream run") }
        return lines
    }
}

/// `skip` as JSON; without a sequence nothing was stored, or the stream does not hold the marker any more.
private struct SkipListing: Encodable {
    let schema = "slotstream.skip/1"
    var id: String
    var lsn: String
    var change: UInt64
    var message: String?
    var acceptedBy: String
    var subject: String
    var markerId: String
    var sequence: UInt64?
    var next: String?

    init(_ outcome: Skip.Outcome) {
        id = outcome.id
        lsn = "\(outcome.lsn)"
        change = outcome.change
        message = outcome.what
        acceptedBy = outcome.acceptedBy
        subject = outcome.subject
        markerId = outcome.markerID
        sequence = outcome.sequence
        next = outcome.next
    }

    func json() -> String { ContractJSON.text(self) }
}
