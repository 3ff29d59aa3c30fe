package import ArgumentParser
import Glibc
import History
import Synchronization

/// The program that this process is: its name in front of errors, and its commands.
package enum Program {
    private static let current = Mutex<(any ParsableCommand.Type)?>(nil)

    /// What the parser is asked about errors and help.
    static var root: any ParsableCommand.Type { current.withLock { $0 } ?? NoCommand.self }

    /// `slotstream`; of a process that is none of ours, too.
    static var name: String { current.withLock { $0 }?._commandName ?? "slotstream" }

    /// A process that has not begun with ``main(_:takingSignals:)``.
    private struct NoCommand: ParsableCommand {}

    /// Runs the command that the arguments name, on other threads; this one takes the signals of a command that runs until it is told to stop.
    package static func main<Root: ParsableCommand>(_ root: Root.Type, takingSignals: (any ParsableCommand) -> Bool) -> Never {
        current.withLock { $0 = root }
        StandardDescriptors.fill()
        ProcessSignals.ignoreFailedWrites()
        // Swift reads them from there.
        if CommandLine.arguments.isEmpty {
            Output.error("\(name): cannot read the command's arguments: mount /proc\n")
            Ending.now(ExitStatus.unexpected.rawValue)
        }
        let arguments = known(Array(CommandLine.arguments.dropFirst()))
        do {
            // Sendable because it is handed to one task, and only its type looked at here.
            nonisolated(unsafe) let command = try root.parseAsRoot(arguments)
            let taken = takingSignals(command) ? ProcessSignals.take() : nil
            Task.detached { await perform(command) }
            if let taken { ProcessSignals.deliver(taken) }
        } catch {
            Failure.exit(with: MistypedCommand.error(in: arguments, of: root) ?? error)
        }
        // The command ends the process.
        while true { pause() }
    }

    /// The arguments as the parser knows them: it has only the long form of `-V`.
    package static func known(_ arguments: [String]) -> [String] { arguments == ["-V"] ? ["--version"] : arguments }

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
