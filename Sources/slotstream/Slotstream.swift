import ArgumentParser
import Glibc
import History
import Pipeline

/// The program: its commands, and nothing else.
@main
struct SlotstreamCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "slotstream",
        abstract: "Streams PostgreSQL changes to NATS JetStream: every commit once, in commit order.",
        discussion: """
            Example:
              export DATABASE_URL=postgres://app@db/shop
              export SLOTSTREAM_TRANSPORT_NATS_URL=nats://nats:4222
              slotstream run

            Configuration: --config FILE, else slotstream.toml, else fraiseql-observer.toml in the working directory, \
            else defaults. SLOTSTREAM_… variables and --set win over the file.

            -V is short for --version.

            Exit codes: \(ExitStatus.allCases.map { "\($0.rawValue) \($0.name)" }.joined(separator: ", ")).
            """,
        version: Slotstream.fullVersion,
        subcommands: [
            RunCommand.self, SetupCommand.self, CheckCommand.self, StatusCommand.self, TailCommand.self, SlotCommand.self,
            ReplayCommand.self, VerifyCommand.self, RewindCommand.self, MendCommand.self, SkipCommand.self,
            DecodeCommand.self, HealthCommand.self, ConfigCommand.self,
        ])

    /// Runs the command on other threads; this one takes the signals of one that streams.
    static func main() {
        StandardDescriptors.fill()
        ProcessSignals.ignoreFailedWrites()
        // Swift reads them from there.
        if CommandLine.arguments.isEmpty {
            Output.error("slotstream: cannot read the command's arguments: mount /proc\n")
            Ending.now(ExitStatus.unexpected.rawValue)
        }
        let arguments = known(Array(CommandLine.arguments.dropFirst()))
        do {
            // Sendable because it is handed to one task, and only its type looked at here.
            nonisolated(unsafe) let command = try parseAsRoot(arguments)
            let taken = command is RunCommand ? ProcessSignals.take() : nil
            Task.detached { await perform(command) }
            if let taken { ProcessSignals.deliver(taken) }
        } catch {
            Failure.exit(with: MistypedCommand.error(in: arguments) ?? error)
        }
        // The command ends the process.
        while true { pause() }
    }

    /// The arguments as the parser knows them: it has only the long form of `-V`.
    static func known(_ arguments: [String]) -> [String] { arguments == ["-V"] ? ["--version"] : arguments }

    private static func perform(_ command: any ParsableCommand) async {
        var command = command
        do {
            if var asyncCommand = command as? any AsyncParsableCommand {
                try await asyncCommand.run()
            } else {
                try command.run()
            }
        } catch {
            Failure.exit(with: error)
        }
        Ending.now(ExitStatus.done.rawValue)
    }
}
