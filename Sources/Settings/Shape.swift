/// How a key's value is read, what is allowed, and how it is shown: the rule of one kind of value.
struct Shape<Value: Sendable & Equatable>: Sendable {
    /// Completes "must be …".
    let allowed: String
    /// A list, which a flag or a variable has as a text with commas.
    var isList = false
    /// nil: not allowed.
    var read: @Sendable (RawValue) -> Value?
    /// The form that `read` gives the same value for, where nothing in it is secret.
    let show: @Sendable (Value) -> ShownValue
}

extension Shape where Value == Bool {
    /// `true` or `false`.
    static var boolean: Shape {
        Shape(
            allowed: "true or false",
            read: { raw in
                switch raw {
                case .boolean(let boolean): boolean
                case .text("true"): true
                case .text("false"): false
                case .text, .string, .integer, .list, .table, .unsupported: nil
                }
            },
            show: { .boolean($0) })
    }
}

extension Shape where Value == Int {
    /// An integer in `range`.
    static func integer(_ range: ClosedRange<Int>) -> Shape {
        Shape(
            allowed: "an integer " + bounds(range),
            read: { raw in integer(raw).flatMap { range.contains($0) ? $0 : nil } },
            show: { .integer($0) })
    }

    /// A positive integer, or -1 for no limit: NATS's own way to say it.
    static var limit: Shape {
        Shape(
            allowed: "a positive integer, or -1 for no limit",
            read: { raw in integer(raw).flatMap { $0 > 0 || $0 == -1 ? $0 : nil } },
            show: { .integer($0) })
    }

    /// A size in `range`, in bytes.
    static func byteCount(_ range: ClosedRange<Int>) -> Shape {
        Shape(
            allowed: "a size \(bounds(range)) (an integer, or with KiB, MiB or GiB)",
            read: { raw in byteCount(raw).flatMap { range.contains($0) ? $0 : nil } },
            show: { .byteCount($0) })
    }

    /// A positive size, or -1 for no limit.
    static var byteLimit: Shape {
        Shape(
            allowed: "a positive size (an integer, or with KiB, MiB or GiB), or -1 for no limit",
            read: { raw in
                if integer(raw) == -1 { return -1 }
                return byteCount(raw).flatMap { $0 > 0 ? $0 : nil }
            },
            show: { .byteCount($0) })
    }

    private static func byteCount(_ raw: RawValue) -> Int? {
        if case .integer(let integer) = raw { return integer }
        return raw.string.flatMap(ByteCountNotation.parse)
    }
}

extension Shape {
    /// The integer that a file's integer or an untyped text stands for.
    static func integer(_ raw: RawValue) -> Int? {
        switch raw {
        case .integer(let integer): integer
        case .text(let text): Int(text)
        case .string, .boolean, .list, .table, .unsupported: nil
        }
    }

    /// "from 1 to 5", "of at least 1".
    static func bounds(_ range: ClosedRange<Int>) -> String {
        range.upperBound == Int.max
            ? "of at least \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
    }
}

extension Shape where Value == Duration {
    /// A duration in `range`; both ends are whole milliseconds.
    static func duration(_ range: ClosedRange<Duration>) -> Shape {
        let lowest = DurationNotation.text(range.lowerBound)
        let highest = DurationNotation.text(range.upperBound)
        return Shape(
            allowed: "a duration from \(lowest) to \(highest) (an integer with ms, s, m, h or d)",
            read: { raw in
                let duration = raw == .integer(0) ? .zero : raw.string.flatMap(DurationNotation.parse)
                return duration.flatMap { range.contains($0) ? $0 : nil }
            },
            show: { .duration($0) })
    }

    /// An integer whose unit is in the key's name.
    static func count(_ range: ClosedRange<Int>, ofSeconds seconds: Int64) -> Shape {
        Shape(
            allowed: "an integer " + bounds(range),
            read: { raw in
                integer(raw).flatMap { range.contains($0) ? .seconds(Int64($0) * seconds) : nil }
            },
            show: { .integer(Int($0.components.seconds / seconds)) })
    }
}

extension Shape where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    /// One of an enum's raw values.
    static var choice: Shape {
        Shape(
            allowed: "one of " + Value.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", "),
            read: { raw in raw.string.flatMap(Value.init(rawValue:)) },
            show: { .string($0.rawValue) })
    }
}
