/// One thing that is wrong, or worth knowing: what `run` refuses, `setup` notes and `check` prints. Made in this folder only, by functions of facts, a file a topic.
package struct Finding: Sendable, Equatable {
    /// As `check --json` has it.
    package enum Severity: String, Sendable {
        case error, warning, note
    }

    package var id: FindingID
    package var severity: Severity
    /// What it is about: a table, a stream, a setting.
    package var object: String
    /// What was found: a sentence without its full stop.
    package var message: String
    /// What follows from it: a sentence, or a clause in small letters that a colon joins to the message. Without its full stop; empty where the message says it.
    package var why: String
    /// What mends it, as an error or a note says it: without a last full stop.
    package var fix: String
    /// The same to be pasted as it stands; nil: it takes somebody's decision.
    package var paste: Paste?

    /// - Parameter fix: nil: what is pasted says it.
    init(
        _ id: FindingID, severity: Severity? = nil, _ object: String, _ message: String, why: String = "", fix: String? = nil,
        paste: Paste? = nil
    ) {
        self.id = id
        self.severity = severity ?? id.severity
        self.object = object
        self.message = message
        self.why = why
        self.fix = fix ?? paste?.text ?? ""
        self.paste = paste
    }

    /// What was found and what follows from it.
    package var sentence: String {
        guard let first = why.first else { return message }
        return "\(message)\(first.isLowercase ? ":" : ".") \(why)"
    }

    /// All of it, as a note says it.
    package var note: String { fix.isEmpty ? sentence : "\(sentence). \(fix)" }

    /// As `check` has it.
    package var mending: String { paste?.text ?? fix }

    /// The same, where something else mends it.
    package func mended(by fix: String, paste: Paste? = nil) -> Finding {
        var finding = self
        finding.fix = fix
        finding.paste = paste
        return finding
    }
}

/// Something worth knowing about what was done: a finding, or another sentence.
package enum Note: Sendable, Equatable, ExpressibleByStringInterpolation {
    case finding(Finding)
    case other(String)

    package init(stringLiteral text: String) { self = .other(text) }

    /// The whole of it, without a last full stop.
    package var text: String {
        switch self {
        case .finding(let finding): finding.note
        case .other(let text): text
        }
    }

    /// nil: no finding.
    package var id: FindingID? {
        if case .finding(let finding) = self { finding.id } else { nil }
    }

    /// A line for people: the text, and the finding's id behind it.
    package var line: String { id.map { "\(text) [\($0.rawValue)]" } ?? text }
}
