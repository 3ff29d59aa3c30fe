import ArgumentParser
import Testing

@testable import slotstream
@testable import slotstream_observer

/// What `--help` says of every command, on a terminal of 80 columns.
@Suite struct HelpTests {
    /// Every command of the program, the program itself included.
    static let commands = all(SlotstreamCommand.self) + all(ObserverCommand.self)

    private static func all(_ command: any ParsableCommand.Type) -> [any ParsableCommand.Type] {
        [command] + command.configuration.subcommands.flatMap(all)
    }

    private static func help(_ command: any ParsableCommand.Type, columns: Int) -> String {
        let isObservers = all(ObserverCommand.self).contains { $0 == command }
        return isObservers ? ObserverCommand.helpMessage(for: command, columns: columns) : SlotstreamCommand.helpMessage(for: command, columns: columns)
    }

    /// The indented lines behind "Example:".
    private static func examples(_ help: String) -> [Substring] {
        let lines = help.split(separator: "\n", omittingEmptySubsequences: false)
        guard let start = lines.firstIndex(of: "Example:") else { return [] }
        return Array(lines[(start + 1)...].prefix { $0.hasPrefix("  ") })
    }

    @Test(arguments: commands.indices)
    func everyLineFits(_ index: Int) {
        let help = Self.help(Self.commands[index], columns: 80)
        for line in help.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
    }

    @Test(arguments: commands.indices)
    func everyExampleCanBePasted(_ index: Int) {
        let command = Self.commands[index]
        let examples = Self.examples(Self.help(command, columns: 80))
        // Wrapped, it would be another command.
        #expect(examples == Self.examples(Self.help(command, columns: 1000)))
        let lines = examples.compactMap { CommandLine($0) }
        #expect(!lines.isEmpty, "\(command) has no example")
        for line in lines { #expect(line.refusal == nil) }
        for example in examples {
            #expect(CommandLine(example) != nil || example.hasPrefix("  export "), "\(example) is no command")
        }
    }

    @Test(arguments: commands.indices)
    func everySentenceIsPlain(_ index: Int) {
        let help = Self.help(Self.commands[index], columns: 1000)
        #expect(PlainLanguage.faults(in: help) == [])
    }

    @Test func aMistypedCommandIsRefused() throws {
        #expect(try #require(CommandLine("slotstream rewnd --dry-run")).refusal != nil)
        #expect(try #require(CommandLine("slotstream slot advance --accept")).refusal != nil)
        #expect(CommandLine("psql shop -f sql/role.sql") == nil)
    }
}
