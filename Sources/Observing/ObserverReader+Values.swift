import Capture

/// Values of tables, each with its complaint where it is not what its key takes.
extension ObserverReader {
    /// nil with a complaint: it is no table.
    mutating func table(_ value: ObserverValue, _ path: String, expected: String = "a table") -> Table? {
        if case .table(let members) = value { return Table(path: path, members: members) }
        complain(path, "is \(value.kindName); expected is \(expected)")
        return nil
    }

    /// Complains about keys that are not known.
    /// - Parameter ignored: Keys that are known and not told.
    mutating func checkKeys(_ table: Table, _ known: [String], ignoring ignored: [String] = []) {
        for key in table.members.keys.sorted() where !known.contains(key) && !ignored.contains(key) {
            complain(
                "\(table.path).\(Self.pathPart(key))",
                "unknown key; allowed are \(known.joined(separator: ", "))" + Self.suggestion(key, known))
        }
    }

    /// nil: the key is not there or null, or, with a complaint, no text.
    mutating func text(_ key: String, _ table: Table) -> String? {
        switch table.members[key] {
        case nil, .null: return nil
        case .text(let text): return text
        case .some(let value):
            complain("\(table.path).\(key)", "is \(value.kindName); expected is a text")
            return nil
        }
    }

    /// As `text`, with a complaint about an empty one too.
    mutating func nonEmptyText(_ key: String, _ table: Table) -> String? {
        guard let text = text(key, table) else { return nil }
        guard !text.isEmpty else {
            complain("\(table.path).\(key)", "is empty; write a text, or leave the key out")
            return nil
        }
        return text
    }

    /// A text that also stands for a number, since a variable was put in, counts as one.
    mutating func integer(_ key: String, _ table: Table, _ range: ClosedRange<Int>) -> Int? {
        let value: Int? =
            switch table.members[key] {
            case nil, .null: nil
            case .integer(let integer): integer
            case .text(let text): Int(text)
            default: nil
            }
        if let value, range.contains(value) { return value }
        if table.members[key] != nil, table.members[key] != .null {
            complain("\(table.path).\(key)", "must be an integer from \(range.lowerBound) to \(range.upperBound)")
        }
        return nil
    }

    /// nil: the key is not there or null, or, with a complaint, neither true nor false.
    mutating func boolean(_ key: String, _ table: Table) -> Bool? {
        switch table.members[key] {
        case nil, .null: return nil
        case .boolean(let boolean): return boolean
        case .text("true"): return true
        case .text("false"): return false
        default:
            complain("\(table.path).\(key)", "must be true or false")
            return nil
        }
    }

    /// One of an enum's names.
    mutating func choice<Choice: RawRepresentable & CaseIterable>(_ key: String, _ table: Table) -> Choice? where Choice.RawValue == String {
        guard let name = text(key, table) else { return nil }
        if let choice = Choice(rawValue: name) { return choice }
        let allowed = Choice.allCases.map(\.rawValue)
        complain(
            "\(table.path).\(key)",
            "\(Self.quoted(name)) is not allowed; allowed are \(allowed.joined(separator: ", "))" + Self.suggestion(name, allowed))
        return nil
    }

    /// The value of the environment's variable that a key names: never shown, and read now.
    mutating func variable(_ key: String, _ table: Table) -> ActionSecret? {
        guard let name = text(key, table) else { return nil }
        let path = "\(table.path).\(key)"
        guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first),
            name.utf8.allSatisfy({ EntityNaming.isPlain($0) && $0 != UInt8(ascii: "-") })
        else {
            complain(path, "must be the name of a variable of the environment (letters, digits and _), not the value itself")
            return nil
        }
        guard let value = environment[name], !value.isEmpty else {
            complain(
                path,
                "the variable \(name) is \(environment[name] == nil ? "not set" : "empty"); set \(name) in the environment of slotstream-observer")
            return nil
        }
        return ActionSecret(value)
    }

    /// A secret that stands in the definition itself or in a variable; `name` and `name_env` exclude each other.
    mutating func secret(_ key: String, _ table: Table) -> ActionSecret? {
        checkBoth(key, "\(key)_env", table)
        let own = nonEmptyText(key, table).map { ActionSecret($0) }
        return variable("\(key)_env", table) ?? own
    }

    /// An address that stands in the definition itself or in a variable; one of the two is required.
    mutating func url(_ key: String, _ table: Table) -> ActionURL? {
        let variableKey = "\(key)_env"
        checkBoth(key, variableKey, table)
        if isAbsent(key, table), isAbsent(variableKey, table) {
            complain("\(table.path).\(key)", "is missing; write \(key) = \"https://…\", or \(variableKey) with the name of a variable")
        }
        let own = text(key, table)
        let secret = variable(variableKey, table)
        guard let text = secret?.value ?? own else { return nil }
        do {
            return try ActionURL(text)
        } catch {
            complain("\(table.path).\(secret == nil ? key : variableKey)", "the address \(error.reason)")
            return nil
        }
    }

    private mutating func checkBoth(_ key: String, _ other: String, _ table: Table) {
        if !isAbsent(key, table), !isAbsent(other, table) { complain("\(table.path).\(key)", "\(key) and \(other) exclude each other; remove one") }
    }

    /// Whether a key is not there, or null.
    func isAbsent(_ key: String, _ table: Table) -> Bool { table.members[key] == nil || table.members[key] == .null }

    /// Complains about a key that has to be there.
    mutating func require(_ key: String, _ table: Table, _ example: String) {
        if isAbsent(key, table) { complain("\(table.path).\(key)", "is missing; write \(example)") }
    }

    // MARK: - Words

    /// A key in a path, in TOML's notation.
    static func pathPart(_ key: String) -> String {
        !key.isEmpty && key.utf8.allSatisfy(EntityNaming.isPlain) ? key : quoted(key)
    }

    /// A value that is no secret, short and on one line.
    static func quoted(_ text: String) -> String {
        let shown = HeaderText.cleaned(text)
        return "\"" + (shown.count > 64 ? shown.prefix(64) + "…" : shown) + "\""
    }

    static func suggestion(_ name: String, _ known: [String]) -> String {
        NearestName.nearest(to: name, among: known).map { "; did you mean \($0)?" } ?? ""
    }
}
