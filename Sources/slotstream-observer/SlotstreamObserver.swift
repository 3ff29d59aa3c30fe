import ArgumentParser
import Console
import History
import Pipeline

/// The program: its commands, and nothing else.
@main
struct ObserverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "slotstream-observer",
        abstract: "Does actions about the events of a stream, and acknowledges each event after its actions are done.",
        discussion: """
            Example:
              export SLOTSTREAM_TRANSPORT_NATS_URL=nats://nats:4222
              slotstream-observer run --config slotstream.toml

            The worker shares the configuration file of `slotstream`: [observers.NAME] says what is done about which events, and \
            [observer_worker] how the worker works.

            -V is short for --version.

            Exit codes: \(ExitStatus.allCases.map { "\($0.rawValue) \($0.name)" }.joined(separator: ", ")).
            """,
        version: Slotstream.fullVersion,
        subcommands: [
            RunCommand.self, SetupCommand.self, CheckCommand.self, StatusCommand.self, DeadCommand.self,
        ])

    static func main() {
        Program.main(ObserverCommand.self) { $0 is RunCommand }
    }
}
