import ArgumentParser

@testable import Console
@testable import slotstream

/// A command line as somebody types it, held against the program's own parser.
struct CommandLine {
    /// What the shell hands to the program, without the program's name.
    let arguments: [String]

    /// Reads one `slotstream …` line: variables before it, a pipe, an alternative and a comment behind it are the shell's.
    /// - Returns: nil where the line does not run the program.
    init?(_ line: some StringProtocol) {
        var words = Self.words(line)
        while let first = words.first, first.contains("="), first != "slotstream" { words.removeFirst() }
        guard words.first == "slotstream" else { return nil }
        let shells = words.firstIndex { ["|", "||", "&&", "&", ">", "2>", "#"].contains($0) } ?? words.endIndex
        arguments = Array(words[1..<shells])
    }

    /// Why the parser refuses it; nil: it takes it.
    var refusal: String? {
        do {
            _ = try SlotstreamCommand.parseAsRoot(Program.known(arguments))
            return nil
        } catch {
            // `--version`.
            if SlotstreamCommand.exitCode(for: error) == .success { return nil }
            return "slotstream \(arguments.joined(separator: " ")): \(SlotstreamCommand.message(for: error))"
        }
    }

    /// The words of a line; double quotes keep blanks together.
    private static func words(_ line: some StringProtocol) -> [String] {
        var words: [String] = []
        var word: String?
        var isQuoted = false
        for character in line {
            if character == "\"" {
                isQuoted.toggle()
                word = word ?? ""
            } else if character.isWhitespace, !isQuoted {
                if let ended = word { words.append(ended) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        return words + (word.map { [$0] } ?? [])
    }
}
