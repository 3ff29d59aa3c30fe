import ArgumentParser
import Pipeline

/// The program: its commands, and nothing else.
@main
struct SlotstreamCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "slotstream",
        abstract: "Streams PostgreSQL changes to NATS JetStream: every commit once, in commit order.",
        discussion: """
            Example:
              DATABASE_URL=postgres://app@db/shop SLOTSTREAM_TRANSPORT_NATS_URL=nats://nats:4222 slotstream run

            Configuration: --config FILE, else slotstream.toml, else fraiseql-observer.toml in the working directory, \
            else defaults; SLOTSTREAM_… variables and --set win over it.

            Exit codes: 0 done, 1 findings, 64 usage, 65 poison event, 69 server unreachable, 70 unexpected, 73 lost history, \
            75 slot active elsewhere, 76 another writer, 77 not permitted, 78 configuration.
            """,
        version: Slotstream.version,
        subcommands: [
            RunCommand.self, SetupCommand.self, StatusCommand.self, TailCommand.self, SlotCommand.self, MendCommand.self,
            DecodeCommand.self, HealthCommand.self, ConfigCommand.self,
        ])

    static func main() async {
        do {
            var command = try parseAsRoot()
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
