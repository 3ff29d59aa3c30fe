/// Reads definitions and collects what is wrong with them instead of stopping at the first.
struct ObserverReader {
    /// A table of a definition and where it stands.
    struct Table {
        let path: String
        let members: [String: ObserverValue]
    }

    let source: ObserverDefinition.Origin
    let environment: [String: String]
    let livePrefix: String
    private(set) var definitions: [ObserverDefinition] = []
    private(set) var mistakes: [ObserverMistake] = []
    private(set) var notes: [String] = []
    /// `[observers.runtime.email]` as it could be read.
    var mailServer: MailServerSettings?
    /// Whether there is a mail server at all, right or wrong.
    var hasMailServer = false

    /// Of an observer's name: FraiseQL's table has no longer ones.
    private static let nameByteCountLimit = 255
    /// Whole days are not a delay of retries any more.
    static let millisecondLimit = 86_400_000

    private static let keys = [
        "name", "description", "entity", "event_type", "condition", "on_failure", "retry", "actions", "priority", "timeout_ms", "enabled", "runtime",
    ]

    init(source: ObserverDefinition.Origin, environment: [String: String], livePrefix: String) {
        self.source = source
        self.environment = environment
        self.livePrefix = livePrefix
    }

    /// In the order in which they act.
    var sorted: [ObserverDefinition] { definitions.sorted { ($0.priority, $0.name) < ($1.priority, $1.name) } }

    mutating func complain(_ path: String, _ what: String) {
        mistakes.append(ObserverMistake(path: path, what: what))
    }

    mutating func note(_ path: String, _ what: String) { notes.append("\(path): \(what)") }

    // MARK: - A file

    /// The value of the file's key `observers`.
    mutating func readFile(_ observers: ObserverValue) {
        switch observers {
        case .null: break
        case .table(let members):
            if let runtime = members["runtime"] { readRuntime(runtime, "observers.runtime") }
            for (name, value) in members.sorted(by: { $0.key < $1.key }) where name != "runtime" {
                let path = "observers." + Self.pathPart(name)
                guard let table = table(value, path, expected: "a table; an observer is written [observers.NAME]") else { continue }
                if table.members["name"] != nil {
                    complain("\(path).name", "is said by the table's own name; remove the key, or write [[observers]]")
                }
                readObserver(table, name: name)
            }
        case .list(let values):
            let tables = values.enumerated().compactMap { index, value in
                table(value, "observers[\(index)]", expected: "a table; an observer is written [[observers]]").map { (index, $0) }
            }
            // In TOML a table behind [[observers]] belongs to the last of them.
            for (_, table) in tables {
                if let runtime = table.members["runtime"] { readRuntime(runtime, "\(table.path).runtime") }
            }
            for (index, table) in tables where Set(table.members.keys) != ["runtime"] { readObserver(table, name: nil, index: index) }
        case .text, .integer, .number, .decimal, .boolean, .unsupported:
            complain("observers", "is \(observers.kindName); a table is expected: [observers.NAME]")
        }
    }

    /// - Parameters:
    ///   - name: nil: it is told by the key `name`, or by its place.
    ///   - index: Its place in a list.
    mutating func readObserver(_ table: Table, name: String?, index: Int = 0) {
        let mistakeCount = mistakes.count
        // `runtime` in an observer is there by TOML's rules and not by intention.
        checkKeys(table, Self.keys.filter { name == nil || $0 != "runtime" && $0 != "name" }, ignoring: name == nil ? [] : ["name"])
        let name = name ?? text("name", table) ?? placeName(table, index)
        checkName(name, table)
        let actions = readActions(table)
        var definition = ObserverDefinition(name: name, origin: source, actions: actions)
        definition.entity = entity("entity", table)
        definition.eventType = eventType("event_type", table)
        definition.condition = condition("condition", table)
        if let onFailure: ObserverDefinition.OnFailure = choice("on_failure", table) { definition.onFailure = onFailure }
        if let retry = table.members["retry"] { definition.retry = retryPolicy(retry, "\(table.path).retry") }
        if let priority = integer("priority", table, 0...1_000) { definition.priority = priority }
        if let milliseconds = integer("timeout_ms", table, 1...Self.millisecondLimit) { definition.actionTimeout = .milliseconds(milliseconds) }
        if let isEnabled = boolean("enabled", table) { definition.isEnabled = isEnabled }
        _ = text("description", table)
        if mistakes.count == mistakeCount { definitions.append(definition) }
    }

    /// The name of one that has none, as FraiseQL's examples have it.
    private mutating func placeName(_ table: Table, _ index: Int) -> String {
        let name = "observer_\(index + 1)"
        note(
            table.path,
            "has no name and is called \(name) by its place in the file. Write name = \"…\": the place may change, and dead letters and metrics go by the name."
        )
        return name
    }

    private mutating func checkName(_ name: String, _ table: Table) {
        let path = source == .file && table.members["name"] != nil ? "\(table.path).name" : table.path
        guard !name.isEmpty, name.utf8.count <= Self.nameByteCountLimit, HeaderText.cleaned(name) == name else {
            return complain(path, "the name must have 1 to \(Self.nameByteCountLimit) bytes and no control characters")
        }
        if definitions.contains(where: { $0.name == name }) {
            complain(path, "another observer has the name \(Self.quoted(name)); each needs its own")
        }
    }

    // MARK: - Parts of an observer

    mutating func entity(_ key: String, _ table: Table) -> String? {
        guard let name = text(key, table) else { return nil }
        if name.isEmpty { complain("\(table.path).\(key)", "is empty; write the entity's exact name, or \"*\" for all") }
        return name == "*" ? nil : name
    }

    mutating func eventType(_ key: String, _ table: Table) -> EventType? {
        guard let name = text(key, table), name != "*" else { return nil }
        if let type = EventType(rawValue: name.uppercased()) { return type }
        let allowed = EventType.allCases.map(\.rawValue)
        complain(
            "\(table.path).\(key)",
            "\(Self.quoted(name)) is no kind of event; allowed are \(allowed.joined(separator: ", ")), in any case"
                + Self.suggestion(name.uppercased(), allowed))
        return nil
    }

    mutating func condition(_ key: String, _ table: Table) -> Condition? {
        guard let text = text(key, table) else { return nil }
        let path = "\(table.path).\(key)"
        do {
            let condition = try Condition(parsing: text)
            for warning in condition.warnings { note(path, warning) }
            return condition
        } catch {
            complain(path, error.description)
            return nil
        }
    }

    mutating func retryPolicy(_ value: ObserverValue, _ path: String) -> RetryPolicy {
        var policy = RetryPolicy()
        guard value != .null, let table = table(value, path) else { return policy }
        // FraiseQL's table has this key in its own default, which its parser refuses.
        let isFromDatabase = source == .database
        checkKeys(
            table, ["max_attempts", "initial_delay_ms", "max_delay_ms", "backoff_strategy"], ignoring: isFromDatabase ? ["backoff"] : [])
        if let attempts = integer("max_attempts", table, 1...1_000) { policy.maxAttempts = attempts }
        if let milliseconds = integer("initial_delay_ms", table, 0...Self.millisecondLimit) { policy.initialDelay = .milliseconds(milliseconds) }
        if let milliseconds = integer("max_delay_ms", table, 0...Self.millisecondLimit) { policy.maxDelay = .milliseconds(milliseconds) }
        if let strategy: RetryPolicy.Strategy = choice("backoff_strategy", table) {
            policy.strategy = strategy
        } else if isFromDatabase, let strategy: RetryPolicy.Strategy = choice("backoff", table) {
            policy.strategy = strategy
        }
        return policy
    }
}
