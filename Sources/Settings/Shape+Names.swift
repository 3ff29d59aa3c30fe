import Capture

extension Shape where Value == String {
    private static func text(_ allowed: String, where isAllowed: @escaping @Sendable (String) -> Bool) -> Shape {
        Shape(
            allowed: allowed, read: { raw in raw.string.flatMap { isAllowed($0) ? $0 : nil } }, show: { .string($0) })
    }

    /// What PostgreSQL takes for a slot's name.
    static var slotName: Shape {
        text("a slot name: 1 to 63 of a-z 0-9 _") { name in
            (1...63).contains(name.utf8.count)
                && name.utf8.allSatisfy { isLower($0) || isDigit($0) || $0 == UInt8(ascii: "_") }
        }
    }

    /// Any identifier: it is quoted where it is used.
    static var identifier: Shape {
        text("an identifier of 1 to 63 bytes") { name in
            (1...63).contains(name.utf8.count) && !name.unicodeScalars.contains(where: isControl)
        }
    }

    /// A stream's name is also a key of the key-value bucket, whose keys allow less than stream names do.
    static var streamName: Shape {
        text("a stream name: 1 to 255 of A-Z a-z 0-9 _ - =") { name in
            (1...255).contains(name.utf8.count)
                && name.utf8.allSatisfy { isUpper($0) || isLower($0) || isDigit($0) || "_-=".utf8.contains($0) }
        }
    }

    /// NATS's rule for a consumer's name.
    static var consumerName: Shape {
        text("a consumer name: up to 255 printable ASCII characters other than space . * > / \\") { name in
            (1...255).contains(name.utf8.count) && name.utf8.allSatisfy { isVisible($0) && !".*>/\\".utf8.contains($0) }
        }
    }

    /// Tokens that a stream may capture: the server keeps `$…` and `_INBOX` for itself.
    static var subjectPrefix: Shape {
        text("subject tokens joined by dots: printable ASCII without spaces, * and >, not beginning with $ or _INBOX") {
            prefix in
            let tokens = prefix.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
            return tokens.allSatisfy { token in
                !token.isEmpty && token.allSatisfy { isVisible($0) && !"*>".utf8.contains($0) }
            } && prefix.first != "$" && tokens.first.map { Substring($0) } != "_INBOX"
        }
    }

    /// A template that begins with `{prefix}.`, with known placeholders and whole tokens.
    static var subjectTemplate: Shape {
        text(
            "{prefix}. followed by tokens of A-Z a-z 0-9 _ - and the placeholders {prefix} {database} {schema} {table} {entity} {operation} {column:NAME}; the first of them is not \(ReservedEntity.name), which is Slotstream's own"
        ) { (try? SubjectTemplate($0)) != nil }
    }

    /// Any text but the empty one.
    static var word: Shape { text("a text that is not empty") { !$0.isEmpty } }
}

extension Shape where Value == String? {
    /// A shape's value, or nil for `""`.
    static func optional(_ shape: Shape<String>) -> Shape {
        Shape(
            allowed: shape.allowed + ", or \"\" for none",
            read: { raw in raw.string == "" ? .some(nil) : shape.read(raw).map { .some($0) } },
            show: { value in value.map(shape.show) ?? .string("") })
    }

    /// A file's path. Whether the file can be read is checked once all keys are settled.
    static var path: Shape {
        Shape(
            allowed: "a path, or \"\" for none",
            read: { raw in raw.string.map { $0.isEmpty ? nil : $0 } },
            show: { .string($0.map(Redaction.path) ?? "") })
    }
}

extension Shape {
    private static func isLower(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }
    private static func isUpper(_ byte: UInt8) -> Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) }
    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    private static func isVisible(_ byte: UInt8) -> Bool { (0x21...0x7E).contains(byte) }

    /// Whether no identifier that somebody chose on purpose has it.
    static func isControl(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.generalCategory == .control }
}
