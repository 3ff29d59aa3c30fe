import ArgumentParser
import Testing

@testable import Console
@testable import slotstream

@Suite struct MistypedCommandTests {
    private func said(_ arguments: String...) -> String? { MistypedCommand.error(in: arguments, of: SlotstreamCommand.self).map { "\($0)" } }

    @Test(arguments: [("statsu", "status"), ("Status", "status"), ("tial", "tail"), ("set-up", "setup"), ("list", "slot list"), ("advance", "slot advance")])
    func theNearestIsNamed(_ typed: String, _ meant: String) {
        #expect(said(typed, "--json") == "Unknown command '\(typed)'. Did you mean 'slotstream \(meant)'?")
    }

    @Test func aCommandOfACommandToo() {
        #expect(said("slot", "lst") == "Unknown command 'lst'. Did you mean 'slotstream slot list'?")
    }

    @Test func whereNoneIsNearAllAreNamed() {
        let text = said("frobnicate") ?? ""
        for command in SlotstreamCommand.configuration.subcommands { #expect(text.contains(command._commandName)) }
        #expect(said("slot", "frobnicate") == "Unknown command 'frobnicate'. The commands of slotstream slot: list, create, drop, advance")
    }

    @Test func otherMistakesAreTheParsersToTell() {
        #expect(said() == nil && said("status", "--jsn") == nil && said("--verison") == nil && said("decode", "a", "b") == nil && said("help", "x") == nil)
    }

    @Test func aMistypedOptionIsNamedByTheParser() {
        do {
            _ = try SlotstreamCommand.parseAsRoot(["status", "--jsn"])
            Issue.record("it is taken")
        } catch {
            #expect(SlotstreamCommand.message(for: error).contains("Did you mean '--json'?"))
        }
    }

    @Test func whatIsTypedCannotSteerATerminal() {
        #expect(said("\u{1B}[2J")?.contains("\u{1B}") == false)
    }
}
