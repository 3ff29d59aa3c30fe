/// One key that an operator can set: where it comes from, its rule, and where its value goes.
///
/// Everything about a key is in its line of `ConfigurationKey.all`; reading, suggestions, rendering and the tests walk that table.
struct ConfigurationKey: Sendable {
    /// What a text of this key may give away.
    enum Secrecy: Sendable {
        case open, connectionString, natsURLs, path
    }

    /// The tables and the key, joined by dots.
    let path: String
    /// What the key is for, in plain sentences: `slotstream config --explain` and the page on configuration show them.
    let meaning: String
    /// Completes "must be …".
    let allowed: String
    /// The variables that set it, the strongest first.
    let variables: [String]
    /// A variable that is asked when nothing else sets the key.
    let fallbackVariable: String?
    /// How a text of it is shown.
    let secrecy: Secrecy
    /// The path that the key has as its value; nil: none, or the key is no file's.
    let filePath: @Sendable (Configuration) -> String?
    /// Puts a value into the configuration; returns what is wrong with it instead, if anything.
    let apply: @Sendable (RawValue, inout Configuration) -> Complaint.Problem?
    /// The value as it may be shown to anybody.
    let show: @Sendable (Configuration) -> ShownValue

    /// - Parameters:
    ///   - member: Where the value goes; what `Configuration()` has there is the default.
    ///   - only: The one value that this version takes, though `shape` knows more.
    ///   - hasFraiseQLName: Whether `FRAISEQL_NATS_` and the last part of `path` in capitals sets it too.
    init<Value>(
        _ path: String, _ member: any WritableKeyPath<Configuration, Value> & Sendable, _ shape: Shape<Value>,
        only: Value? = nil, hasFraiseQLName: Bool = false, fallbackVariable: String? = nil, secrecy: Secrecy = .open,
        means meaning: String
    ) {
        self.path = path
        self.meaning = meaning
        let allowed = only.map { shape.show($0).toml } ?? shape.allowed
        self.allowed = allowed
        self.fallbackVariable = fallbackVariable
        self.secrecy = secrecy
        variables = [Self.variable(path)] + (hasFraiseQLName ? [Self.fraiseQLVariable(path)] : [])
        apply = { raw, configuration in
            guard let value = shape.read(raw) else {
                if shape.isList, let values = raw.bracketed {
                    return .bracketedList(shown: Self.shown(raw, secrecy), instead: values.joined(separator: ","))
                }
                return .badValue(shown: Self.shown(raw, secrecy), allowed: allowed)
            }
            if let only, value != only {
                return .notInThisVersion(shown: Self.shown(raw, secrecy), allowed: allowed)
            }
            configuration[keyPath: member] = value
            return nil
        }
        show = { shape.show($0[keyPath: member]) }
        filePath = { secrecy == .path ? $0[keyPath: member] as? String : nil }
    }

    /// A key that has one value only, and so no place in `Configuration`.
    ///
    /// - Parameter problem: What any other value means; given that value, and the one that is allowed, as they are shown.
    private init(
        _ path: String, isAlways value: ShownValue, raw: RawValue, means meaning: String,
        problem: @escaping @Sendable (_ shown: String, _ allowed: String) -> Complaint.Problem
    ) {
        self.path = path
        self.meaning = meaning
        allowed = value.toml
        fallbackVariable = nil
        secrecy = .open
        variables = [Self.variable(path)]
        apply = { given, _ in
            let isSame = given == raw || given.string.map { $0 == raw.string } ?? false
            return isSame ? nil : problem(given.shown, value.toml)
        }
        show = { _ in value }
        filePath = { _ in nil }
    }

    /// A key of which the only choice is `choice`.
    static func fixed(_ path: String, _ choice: String, means meaning: String) -> ConfigurationKey {
        ConfigurationKey(path, isAlways: .string(choice), raw: .string(choice), means: meaning) {
            .badValue(shown: $0, allowed: $1)
        }
    }

    /// What every variable of ours begins with.
    static let variablePrefix = "SLOTSTREAM_"

    /// `SLOTSTREAM_` and the path in capitals, joined by `_`.
    static func variable(_ path: String) -> String {
        variablePrefix + path.split(separator: ".").joined(separator: "_").uppercased()
    }

    private static func fraiseQLVariable(_ path: String) -> String {
        "FRAISEQL_NATS_" + (path.split(separator: ".").last ?? "").uppercased()
    }

    /// A text of this key without what may be secret in it.
    static func redacted(_ text: String, _ secrecy: Secrecy) -> String {
        switch secrecy {
        case .open: text
        case .connectionString: Redaction.connectionString(text)
        case .natsURLs: Redaction.natsURLs(text)
        case .path: Redaction.path(text)
        }
    }

    /// A refused value, as a complaint may show it.
    private static func shown(_ raw: RawValue, _ secrecy: Secrecy) -> String {
        if let text = raw.string { return ShownValue.quoted(redacted(text, secrecy)) }
        return secrecy == .open ? raw.shown : Redaction.hidden
    }
}
