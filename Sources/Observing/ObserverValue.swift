import Capture

/// A value of a definition, whether it comes from a TOML file or from JSON in a table.
package indirect enum ObserverValue: Sendable, Equatable {
    /// A string, with its variables put in.
    case text(String)
    /// A whole number.
    case integer(Int)
    /// A number with a fraction.
    case number(Double)
    /// A number of JSON that is no `Int`, as it was written.
    case decimal(String)
    /// `true` or `false`.
    case boolean(Bool)
    /// JSON's null: as if the key were not there.
    case null
    /// Values in order.
    case list([ObserverValue])
    /// Values by their keys.
    case table([String: ObserverValue])
    /// What no key takes; the payload says what it is, with its article.
    case unsupported(String)

    /// Lists and tables in each other, at most: more is a mistake, and each costs stack.
    static let depthLimit = 32

    /// A JSON value as a definition's.
    init(_ json: JSONValue) { self.init(json, depth: 0) }

    private init(_ json: JSONValue, depth: Int) {
        guard depth < Self.depthLimit else {
            self = .unsupported("a value nested deeper than \(Self.depthLimit)")
            return
        }
        switch json.kind {
        case .null: self = .null
        case .boolean: self = .boolean(json.text.first == UInt8(ascii: "t"))
        case .string: self = .text(json.string ?? "")
        case .number:
            let text = String(decoding: json.text, as: UTF8.self)
            self = Int(text).map { .integer($0) } ?? .decimal(text)
        case .array: self = .list((json.elements ?? []).map { ObserverValue($0, depth: depth + 1) })
        case .object:
            var members: [String: ObserverValue] = [:]
            for member in json.object?.members ?? [] {
                let name = String(decoding: member.name, as: UTF8.self)
                // Also one in another spelling of Unicode: two to PostgreSQL, which compares bytes, and one to a dictionary.
                guard members.updateValue(ObserverValue(member.value, depth: depth + 1), forKey: name) == nil else {
                    self = .unsupported("an object that has one name twice")
                    return
                }
            }
            self = .table(members)
        }
    }

    /// The value as JSON, members in the order of their names; nil: it holds what JSON has nothing for.
    var json: [UInt8]? {
        switch self {
        case .text(let text): return JSONText.string(text)
        case .integer(let integer): return Array(String(integer).utf8)
        case .number(let number): return number.isFinite ? Array("\(number)".utf8) : nil
        case .decimal(let text): return Array(text.utf8)
        case .boolean(let boolean): return Array((boolean ? "true" : "false").utf8)
        case .null: return Array("null".utf8)
        case .list(let values):
            var parts: [[UInt8]] = []
            for value in values {
                guard let part = value.json else { return nil }
                parts.append(part)
            }
            return Array("[".utf8) + parts.joined(separator: [UInt8(ascii: ",")]) + Array("]".utf8)
        case .table(let members):
            var parts: [[UInt8]] = []
            for (name, value) in members.sorted(by: { $0.key < $1.key }) {
                guard let part = value.json else { return nil }
                parts.append(JSONText.string(name) + [UInt8(ascii: ":")] + part)
            }
            return Array("{".utf8) + parts.joined(separator: [UInt8(ascii: ",")]) + Array("}".utf8)
        case .unsupported: return nil
        }
    }

    /// What it is, with its article, for a mistake.
    var kindName: String {
        switch self {
        case .text: "a text"
        case .integer: "an integer"
        case .number, .decimal: "a number"
        case .boolean: "true or false"
        case .null: "null"
        case .list: "a list"
        case .table: "a table"
        case .unsupported(let what): what
        }
    }
}
