import ArgumentParser
import Console
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
            BackfillCommand.self, ReplayCommand.self, VerifyCommand.self, RewindCommand.self, MendCommand.self, SkipCommand.self,
            DecodeCommand.self, HealthCommand.self, ConfigCommand.self,
        ])

    static func main() {
        Program.main(SlotstreamCommand.self) { $0 is RunCommand }
    }
}
