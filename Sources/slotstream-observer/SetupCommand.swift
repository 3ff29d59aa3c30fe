import ArgumentParser
import Console
import History
import JetStreamPublishing
import ObserverWork
import Settings

struct SetupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "setup", abstract: "Make the consumer and the streams that a worker needs.",
        usage: "slotstream-observer setup [<options>]",
        discussion: """
            Makes the durable consumer transport.nats.consumer_name, the stream of dead letters, and the stream that keeps nats-server's \
            advisories, as far as these are missing. Nothing that exists is altered. `setup` can be run again at any time. After a stop \
            with exit code 73 and the reason consumer_missing, --from says where the new consumer begins.

            Example:
              slotstream-observer setup
              slotstream-observer setup --from 4711
            """)

    @OptionGroup var options: ConfigurationOptions

    @Option(help: ArgumentHelp("Where a new consumer begins: first, new, or a sequence of the stream.", valueName: "place"))
    var from: String?

    @Flag(
        name: .customLong("print-nats-permissions"), help: "Print the worker's user with its exact rights for nats-server's configuration, and make nothing.")
    var printsRights = false

    func validate() throws {
        // A placeholder stands where a text shows the command.
        if let from, Self.start(from) == nil, from != "SEQUENCE" {
            throw ValidationError("--from takes first, new or a sequence, not \"\(from)\"; for example --from first")
        }
    }

    private static func start(_ text: String) -> WorkerSetup.Start? {
        switch text {
        case "first": .first
        case "new": .new
        default: UInt64(text).map { .sequence($0) }
        }
    }

    func run() throws {
        if let from, Self.start(from) == nil { throw ValidationError("--from SEQUENCE: write the sequence as a number") }
        let worker = try options.worker()
        if printsRights { return Output.data(worker.rights.lines.joined(separator: "\n")) }
        let outcome = try WorkerCommands.setup(worker, start: from.flatMap(Self.start))
        for object in outcome.created { Output.data("made: \(object)") }
        for difference in outcome.differences {
            Output.error("slotstream-observer: the consumer \(worker.consumer) differs, and is not altered: \(difference)\n")
        }
        if outcome.isStartUnused {
            Output.error("slotstream-observer: the consumer \(worker.consumer) is there already: --from has no effect\n")
            throw ExitCode(ExitStatus.findings.rawValue)
        }
        if outcome.created.isEmpty { Output.data("nothing was missing") }
    }
}

extension ConfigurationOptions {
    /// What the file says of the worker, for a command that does no actions: their variables need not be set.
    func worker() throws -> WorkerConfiguration {
        try WorkerConfiguration.read(try load(), environment: Self.environment, requiresObservers: false).configuration
    }

    /// The whole, with every mistake that there is in keys and observers.
    func loadWithObservers() throws -> EffectiveConfiguration {
        try load { observers, values, origin in
            WorkerConfiguration.complaints(observers, values, origin, environment: Self.environment)
        }
    }
}
