import ArgumentParser

@testable import Console
@testable import slotstream
@testable import slotstream_observer

/// A command line as somebody types it, held against the program's own parser.
struct CommandLine {
    /// The program's commands.
    let root: any ParsableCommand.Type
    /// What the shell hands to the program, without the program's name.
    let arguments: [String]

    /// Ours, by name.
    static let programs: [String: any ParsableCommand.Type] = ["slotstream": SlotstreamCommand.self, "slotstream-observer": ObserverCommand.self]

    /// Reads one `slotstream …` line: variables before it, a pipe, an alternative and a comment behind it are the shell's.
    /// - Returns: nil where the line does not run the program.
    init?(_ line: some StringProtocol) {
        var words = Self.words(line)
        while let first = words.first, first.contains("=") { words.removeFirst() }
        guard let root = words.first.flatMap({ Self.programs[$0] }) else { return nil }
        self.root = root
        let shells = words.firstIndex { ["|", "||", "&&", "&", ">", "2>", "#"].contains($0) } ?? words.endIndex
        arguments = Array(words[1..<shells])
    }

    /// Why the parser refuses it; nil: it takes it.
    var refusal: String? {
        // What is interpolated may be a number.
        refusal(of: arguments).flatMap { refusal in
            arguments.contains("…") ? self.refusal(of: arguments.map { $0 == "…" ? "1" : $0 }) : refusal
        }
    }

    private func refusal(of arguments: [String]) -> String? {
        do {
            _ = try root.parseAsRoot(Program.known(arguments))
            return nil
        } catch {
            // `--version`.
            if root.exitCode(for: error) == .success { return nil }
            return "\(root._commandName) \(arguments.joined(separator: " ")): \(root.message(for: error))"
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
