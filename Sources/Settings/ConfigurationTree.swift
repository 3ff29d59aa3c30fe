import TOMLKit

/// A part of the file that has rules of its own: read as it stands, for whoever knows them.
package indirect enum ConfigurationTree: Sendable, Equatable {
    case text(String)
    case integer(Int)
    case number(Double)
    case boolean(Bool)
    case list([ConfigurationTree])
    case table([String: ConfigurationTree])
    /// What TOML has and nobody takes; the payload says what it is, with its article.
    case unsupported(String)

    /// Tables and lists within each other, at most: each costs stack.
    private static let depthLimit = 16

    /// A value of the file.
    init(_ value: any TOMLValueConvertible, depth: Int = 0) {
        guard depth < Self.depthLimit else {
            self = .unsupported("a value nested too deeply")
            return
        }
        switch value.type {
        case .string: self = value.string.map { .text($0) } ?? .unsupported("a string")
        case .int: self = value.int.map { .integer($0) } ?? .unsupported("an integer")
        case .double: self = value.double.map { .number($0) } ?? .unsupported("a number")
        case .bool: self = value.bool.map { .boolean($0) } ?? .unsupported("a boolean")
        case .date, .time, .dateTime: self = .unsupported("a date or time")
        case .array: self = .list((value.array.map(Array.init) ?? []).map { ConfigurationTree($0, depth: depth + 1) })
        case .table:
            var members: [String: ConfigurationTree] = [:]
            guard let table = value.table else {
                self = .unsupported("a table")
                return
            }
            for name in table.keys {
                guard let member = table[name] else { continue }
                members[name] = ConfigurationTree(member, depth: depth + 1)
            }
            self = .table(members)
        }
    }

    /// Where the table of observers stands.
    package static let observersPath = ConfigurationKey.observers

    /// Keys of an observer's action whose texts are secrets.
    private static let secretKeys: Set<String> = ["signing_secret", "webhook_url"]

    /// Whether a secret stands in it, and not the name of a variable that holds one.
    var holdsSecret: Bool {
        switch self {
        case .list(let values): values.contains { $0.holdsSecret }
        case .table(let members):
            members.contains { name, value in
                if Self.secretKeys.contains(name), case .text(let text) = value { return !text.isEmpty && !text.contains("${") }
                return value.holdsSecret
            }
        case .text, .integer, .number, .boolean, .unsupported: false
        }
    }

    /// With the variables in its texts put in; `problems` gets the path of each text of which one cannot be, and why.
    package func expanded(_ environment: [String: String], at path: String, _ problems: inout [(path: String, what: String)]) -> ConfigurationTree {
        switch self {
        case .text(let text):
            do throws(Interpolation.Failure) {
                // A dollar sign before a template's place is no variable: "${{ total }}".
                var parts: [String] = []
                for part in text.split(separator: "${{", omittingEmptySubsequences: false) {
                    parts.append(try Interpolation.expand(String(part), environment) ?? String(part))
                }
                return .text(parts.joined(separator: "${{"))
            } catch .unset(let name) {
                problems.append((path, "the variable \(name) is not set; set \(name), or write ${\(name):-default}"))
            } catch {
                problems.append((path, "${ must begin ${NAME} or ${NAME:-default}"))
            }
            return self
        case .list(let values):
            return .list(values.enumerated().map { $1.expanded(environment, at: "\(path)[\($0)]", &problems) })
        case .table(let members):
            var expanded: [String: ConfigurationTree] = [:]
            for (name, value) in members.sorted(by: { $0.key < $1.key }) {
                expanded[name] = value.expanded(environment, at: "\(path).\(name)", &problems)
            }
            return .table(expanded)
        case .integer, .number, .boolean, .unsupported: return self
        }
    }
}
