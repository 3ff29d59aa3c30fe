/// A value as its source gave it, before its key's rule has seen it.
enum RawValue: Sendable, Equatable {
    /// Without a type of its own: from a flag, from the environment, or from a file's string in which a variable was put. It may stand for a number or a list.
    case text(String)
    /// A string of the file.
    case string(String)
    case integer(Int)
    case boolean(Bool)
    case list([RawValue])
    case table([String: RawValue])
    /// What no key takes; the payload says what it is, with its article.
    case unsupported(String)

    /// The text of a text or a string.
    var string: String? {
        switch self {
        case .text(let text), .string(let text): text
        case .integer, .boolean, .list, .table, .unsupported: nil
        }
    }

    /// The values of a text that is written as the file writes a list, `["a", "b"]`; nil: it is not.
    var bracketed: [String]? {
        guard case .text(let text) = self else { return nil }
        let trimmed = Shape<String>.trimmed(Substring(text))
        guard trimmed.hasPrefix("["), trimmed.hasSuffix("]") else { return nil }
        return trimmed.dropFirst().dropLast().split(separator: ",").map { part in
            let value = Shape<String>.trimmed(part)
            let isQuoted = value.count > 1 && value.first == value.last && (value.first == "\"" || value.first == "'")
            return isQuoted ? String(value.dropFirst().dropLast()) : value
        }
    }

    /// What the key's rule works with: the file's strings with their variables put in.
    func expanded(_ environment: [String: String]) throws(Interpolation.Failure) -> RawValue {
        switch self {
        case .string(let text):
            guard let expanded = try Interpolation.expand(text, environment) else { return self }
            return .text(expanded)
        case .list(let values):
            var expanded: [RawValue] = []
            for value in values { expanded.append(try value.expanded(environment)) }
            return .list(expanded)
        case .table(let values):
            var expanded: [String: RawValue] = [:]
            for (key, value) in values { expanded[key] = try value.expanded(environment) }
            return .table(expanded)
        case .text, .integer, .boolean, .unsupported:
            return self
        }
    }

    /// The value in TOML's notation, for a complaint.
    var shown: String {
        switch self {
        case .text(let text), .string(let text): ShownValue.quoted(text)
        case .integer(let integer): String(integer)
        case .boolean(let boolean): String(boolean)
        case .list(let values): "[" + values.map(\.shown).joined(separator: ", ") + "]"
        case .table(let values):
            values.isEmpty
                ? "{}"
                : "{ "
                    + values.sorted { $0.key < $1.key }.map { "\(ShownValue.quoted($0.key)) = \($0.value.shown)" }
                    .joined(separator: ", ") + " }"
        case .unsupported(let what): what
        }
    }
}
