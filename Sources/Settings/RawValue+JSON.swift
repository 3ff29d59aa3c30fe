import FoundationEssentials

extension RawValue {
    /// The table that an untyped text has as a JSON object, as a variable gives a table; nil: the text is none, or has a name twice in one of its objects.
    var jsonObject: RawValue? {
        guard case .text(let text) = self, let value = try? JSONDecoder().decode(RawValue.self, from: Data(text.utf8)),
            case .table = value, value.memberCount == Self.colonCount(text)
        else { return nil }
        return value
    }

    /// Members of its tables, at every depth.
    private var memberCount: Int {
        switch self {
        case .table(let values): values.count + values.values.reduce(0) { $0 + $1.memberCount }
        case .list(let values): values.reduce(0) { $0 + $1.memberCount }
        case .text, .string, .integer, .boolean, .unsupported: 0
        }
    }

    /// Colons outside the strings of a valid JSON text: one for each member as it is written. The decoder keeps one of two members with the same name, and says nothing.
    private static func colonCount(_ text: String) -> Int {
        var count = 0
        var isInString = false
        var isEscaped = false
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\") where isInString && !isEscaped:
                isEscaped = true
                continue
            case UInt8(ascii: "\"") where !isEscaped: isInString.toggle()
            case UInt8(ascii: ":") where !isInString: count += 1
            default: break
            }
            isEscaped = false
        }
        return count
    }
}

extension RawValue: Decodable {
    /// Objects, arrays, strings, integers, true and false; what else JSON has is `unsupported`.
    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let table = try? container.decode([String: RawValue].self) {
            self = .table(table)
        } else if let list = try? container.decode([RawValue].self) {
            self = .list(list)
        } else if let string = try? container.decode(String.self) {
            self = .string(string)
        } else if let boolean = try? container.decode(Bool.self) {
            self = .boolean(boolean)
        } else if let integer = try? container.decode(Int.self) {
            self = .integer(integer)
        } else {
            self = .unsupported("null or a number with a fraction")
        }
    }
}
