import Capture
import TOMLKit

/// A configuration file, taken apart: what it says about our keys, and what is wrong with it.
struct ConfigurationFile {
    /// A key's value and its line.
    struct Entry {
        let value: RawValue
        let line: Int?
    }

    /// As it was given or found.
    let path: String
    /// By the key's path.
    private(set) var entries: [String: Entry] = [:]
    /// FraiseQL's keys that it has, in alphabetical order.
    private(set) var ignoredKeys: [String] = []
    /// What it says of observers; nil: nothing.
    private(set) var observers: ConfigurationTree?
    /// About unknown keys, and values where tables belong.
    private(set) var complaints: [Complaint] = []

    private let scan: DocumentScan

    /// Tables within tables, at most, in a value: no key takes more, and each costs stack.
    private static let depthLimit = 4

    /// - Throws: The one complaint there is about a text that is no TOML.
    init(path: String, bytes: [UInt8]) throws(SettingsError) {
        self.path = path
        // The parser reads up to the first NUL.
        guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw Self.error(path, line: nil, .fileUnreadable("not a text in UTF-8"))
        }
        scan = DocumentScan(text)
        if let fault = scan.fault {
            throw Self.error(path, line: fault.line, .syntax(column: fault.column, message: fault.message))
        }
        let table: TOMLTable
        do {
            table = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            let position = error.source.begin
            throw Self.error(
                path, line: position.line,
                .syntax(column: position.column, message: Self.withoutValues(error.description)))
        } catch {
            throw Self.error(path, line: nil, .fileUnreadable("not TOML"))
        }
        read(table, at: [])
        ignoredKeys.sort()
        let foreign = Self.fraiseQLServerNames(table, path)
        guard !foreign.isEmpty, entries.isEmpty else { return }
        // One word instead of a complaint about each of its keys.
        throw Self.error(path, line: nil, .fraiseQLServerFile(foreign))
    }

    /// Where a member of a table stands whose keys the user chooses.
    func origin(of member: String, in key: String) -> ValueOrigin {
        .file(path, line: scan.line(of: key.split(separator: ".").map(String.init) + [member]))
    }

    private mutating func read(_ table: TOMLTable, at parents: [String]) {
        for name in table.keys {
            let parts = parents + [name]
            let key = Self.joined(parts)
            let line = scan.line(of: parts)
            if ConfigurationKey.byPath[key] != nil, let value = table[name] {
                entries[key] = Entry(value: Self.rawValue(value, depth: 0), line: line)
            } else if key == ConfigurationKey.observers, let value = table[name] {
                observers = ConfigurationTree(value)
            } else if ConfigurationKey.ignored.contains(key) {
                ignoredKeys.append(key)
            } else if ConfigurationKey.tables.contains(key) {
                if let inner = table[name]?.table {
                    read(inner, at: parts)
                } else {
                    complain(key, line, .notATable)
                }
            } else {
                let known =
                    ConfigurationKey.all.map(\.path) + ConfigurationKey.tables.sorted()
                    + ConfigurationKey.ignored.sorted() + [ConfigurationKey.observers]
                complain(key, line, .unknownKey(nearest: NearestName.nearest(to: key, among: known)))
            }
        }
    }

    /// What tells that a file configures FraiseQL's server, by the names that stand in it; empty: nothing does.
    ///
    /// Source: fraiseql, `fraiseql.toml.example`; its server's section of observers, `server_config/observers.rs`.
    private static func fraiseQLServerNames(_ table: TOMLTable, _ path: String) -> [String] {
        var names = table.keys.filter { fraiseQLServerTables.contains($0) && table[$0]?.table != nil }.map { "[\($0)]" }
        // FraiseQL's file of observers has a table for each; its server's has values, and a table that is called so.
        if let observers = table["observers"]?.table,
            observers.keys.contains(where: { fraiseQLServerObserverKeys.contains($0) })
                // The observer worker's own is its mail server.
                || observers["runtime"]?.table?.keys.contains(where: { $0 != "email" }) ?? false
        {
            names.append("[observers]")
        }
        if names.isEmpty, path.split(separator: "/").last == "fraiseql.toml" { names.append("its name is fraiseql.toml") }
        return names.sorted()
    }

    private static let fraiseQLServerTables: Set<String> = [
        "schema", "database", "server", "security", "auth", "validation", "query_defaults", "caching", "subscriptions",
        "federation", "observability", "mcp", "analytics", "fraiseql", "types", "queries", "mutations", "domain_discovery",
        "cdc_outbound",
    ]

    private static let fraiseQLServerObserverKeys: Set<String> = ["backend", "enabled", "handlers", "nats_url"]

    private static func error(_ path: String, line: Int?, _ problem: Complaint.Problem) -> SettingsError {
        SettingsError([Complaint(origin: .file(path, line: line), key: "", problem: problem)])
    }

    private mutating func complain(_ key: String, _ line: Int?, _ problem: Complaint.Problem) {
        complaints.append(Complaint(origin: .file(path, line: line), key: key, problem: problem))
    }

    private static func rawValue(_ value: any TOMLValueConvertible, depth: Int) -> RawValue {
        guard depth < depthLimit else { return .unsupported("a value nested too deeply") }
        switch value.type {
        case .string: return value.string.map { .string($0) } ?? .unsupported("a string")
        case .int: return value.int.map { .integer($0) } ?? .unsupported("an integer")
        case .bool: return value.bool.map { .boolean($0) } ?? .unsupported("a boolean")
        case .double: return .unsupported("a floating-point number")
        case .date: return .unsupported("a date")
        case .time: return .unsupported("a time")
        case .dateTime: return .unsupported("a date and time")
        case .array:
            return .list((value.array.map(Array.init) ?? []).map { rawValue($0, depth: depth + 1) })
        case .table:
            var members: [String: RawValue] = [:]
            guard let table = value.table else { return .unsupported("a table") }
            for name in table.keys {
                guard let member = table[name] else { continue }
                // TOML refuses a name that stands twice. This is one in another spelling of Unicode: two to PostgreSQL, which compares
                // bytes, and one to a dictionary, which would keep one rule and lose the other.
                guard members.updateValue(rawValue(member, depth: depth + 1), forKey: name) == nil else {
                    return .unsupported("a table with \(ShownValue.quoted(name)) in two spellings")
                }
            }
            return .table(members)
        }
    }

    /// A key's path in TOML's notation; only bare parts can make one of ours.
    private static func joined(_ parts: [String]) -> String {
        parts.map { part in
            let isBare =
                !part.isEmpty
                && part.allSatisfy { $0 == "_" || $0 == "-" || ($0.isASCII && ($0.isLetter || $0.isNumber)) }
            return isBare ? part : ShownValue.quoted(part)
        }.joined(separator: ".")
    }

    /// The parser's message without the piece of a value that some messages quote: it may be a password that lacks its quotes. A single character and the
    /// name of a key that stands twice are left.
    private static func withoutValues(_ message: String) -> String {
        let saw = "saw '"
        var start = message.firstIndex(of: "'").map { message.index(after: $0) }
        if message.contains("cannot redefine") { return message }
        if let range = message.firstRange(of: saw) { start = range.upperBound }
        guard let start, let end = message.lastIndex(of: "'"), start < end, message[start..<end].count > 1 else {
            return message
        }
        return message[..<start] + "…" + message[end...]
    }
}
