import Foundation

/// The rules for texts that users meet, as far as a program can see whether they are kept.
enum PlainLanguage {
    /// What breaks a rule in any text; a remedy is held to ``faults(inRemedy:)``.
    static func faults(in text: String) -> [String] {
        var faults: [String] = []
        for rule in everywhere {
            for match in text.matches(of: rule.pattern) { faults.append("\(rule.says): \(text[match.range])") }
        }
        return faults + doubled(in: text)
    }

    /// What breaks a rule in what the operator is told to do.
    static func faults(inRemedy text: String) -> [String] {
        var faults = faults(in: text)
        if text.contains(where: \.isNewline) { faults.append("a line break") }
        let unquoted = text.replacing(/`[^`]*`/, with: "")
        if unquoted.contains(/\bslotstream(?:-observer)? [a-z]/) { faults.append("a command that is not between backticks") }
        for command in commands(in: text) {
            guard let line = CommandLine(command) else { continue }
            if let refusal = line.refusal { faults.append(refusal) }
        }
        return faults
    }

    /// What stands between backticks.
    static func commands(in text: String) -> [Substring] { text.matches(of: /`([^`]+)`/).map(\.output.1) }

    private static var everywhere: [(pattern: Regex<AnyRegexOutput>, says: String)] {
        [
            (Regex(/(?:^|[.:;] )(?:What|Who|Whoever|what|who|whoever) (?!to\b)[a-z]+[^.?]*/), "a subject that is no name"),
            (Regex(/\b[Ii]t\b/), "not the thing's name"),
            (Regex(/\bby now\b/), "not in this version"),
            (Regex(/\b([A-Za-z]+) \1\b/), "a word twice"),
            (Regex(/^(PostgreSQL|NATS): [^.]*\b\1\b/), "the server's name twice"),
        ]
    }

    /// Sentences that stand twice.
    private static func doubled(in text: String) -> [String] {
        var seen: Set<Substring> = []
        return text.split(separator: /\. (?:[0-9]+\. )?|\n/).filter { $0.count > 12 && !seen.insert($0).inserted }
            .map { "twice: \($0)" }
    }
}
