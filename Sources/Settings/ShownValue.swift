/// A checked value on its way out: as TOML for people, as JSON for programs. Secrets are already hidden.
enum ShownValue: Sendable, Equatable {
    case string(String)
    case integer(Int)
    case boolean(Bool)
    /// JSON: seconds.
    case duration(Duration)
    /// JSON: bytes.
    case byteCount(Int)
    case list([String])
    case texts([String: String])
    case lists([String: [String]])
    case tables([String: [String: String]])

    /// In the notation that the file takes.
    var toml: String {
        switch self {
        case .string(let text): Self.quoted(text)
        case .integer(let integer): String(integer)
        case .boolean(let boolean): String(boolean)
        case .duration(let duration): Self.quoted(DurationNotation.text(duration))
        case .byteCount(let count):
            count % 1024 == 0 && count > 0 ? Self.quoted(ByteCountNotation.text(count)) : String(count)
        case .list(let texts): Self.array(texts)
        case .texts(let table): Self.object(table.mapValues(Self.quoted), " = ")
        case .lists(let table): Self.object(table.mapValues(Self.array), " = ")
        case .tables(let tables):
            Self.object(tables.mapValues { Self.object($0.mapValues(Self.quoted), " = ") }, " = ")
        }
    }

    /// As a JSON value.
    var json: String {
        switch self {
        case .string(let text): return Self.quoted(text)
        case .integer(let integer), .byteCount(let integer): return String(integer)
        case .boolean(let boolean): return String(boolean)
        case .duration(let duration):
            let milliseconds = DurationNotation.milliseconds(duration)
            return milliseconds % 1000 == 0 ? "\(milliseconds / 1000)" : "\(Double(milliseconds) / 1000)"
        case .list(let texts): return Self.array(texts)
        case .texts(let table): return Self.object(table.mapValues(Self.quoted), ": ")
        case .lists(let table): return Self.object(table.mapValues(Self.array), ": ")
        case .tables(let tables):
            return Self.object(tables.mapValues { Self.object($0.mapValues(Self.quoted), ": ") }, ": ")
        }
    }

    private static func array(_ texts: [String]) -> String {
        "[" + texts.map(quoted).joined(separator: ", ") + "]"
    }

    private static func object(_ members: [String: String], _ separator: String) -> String {
        if members.isEmpty { return "{}" }
        let pairs = members.sorted { $0.key < $1.key }.map { "\(quoted($0.key))\(separator)\($0.value)" }
        return "{ " + pairs.joined(separator: ", ") + " }"
    }

    /// A string with the escapes that TOML and JSON have in common. Control characters are escaped, so that a value cannot forge a line of the output.
    static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\t": quoted += "\\t"
            case "\r": quoted += "\\r"
            case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}":
                let digits = String(scalar.value, radix: 16, uppercase: true)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
