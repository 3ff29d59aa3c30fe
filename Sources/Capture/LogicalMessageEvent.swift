/// The event that the body of a logical message is: the JSON that the FraiseQL page's trigger sends to `pg_notify`.
struct LogicalMessageEvent {
    let entityType: String
    let operation: String
    /// The body's own members, `,"key":value` each, without those that are set by us.
    let members: [UInt8]
    /// Whether `members` has a `timestamp` that is RFC 3339.
    let hasTimestamp: Bool

    /// Required: `entity_type` and `operation` (non-empty strings), `entity_id` (string, number or null). `id`, `transaction` and `source` are set by us over any of the same name.
    /// - Throws: `.messageBody` with what is missing.
    init(_ body: UnsafeRawBufferPointer) throws(PoisonReason) {
        let found = try JSONObjectScanner.members(of: body)
        var entityType: String?
        var operation: String?
        var hasEntityID = false
        var hasTimestamp = false
        var members: [UInt8] = []
        var seen: Set<[UInt8]> = []
        for member in found {
            let name = String(decoding: member.key, as: UTF8.self)
            guard seen.insert(member.key).inserted else { throw .messageBody("two members are named \(name)") }
            switch name {
            case "id", "transaction", "source": continue
            case "entity_type": entityType = try Self.name(body, member, "entity_type")
            case "operation": operation = try Self.name(body, member, "operation")
            case "entity_id":
                let first = body[member.valueRange.lowerBound]
                guard first != UInt8(ascii: "{"), first != UInt8(ascii: "["), first != UInt8(ascii: "t"),
                    first != UInt8(ascii: "f")
                else { throw .messageBody("entity_id is not a string, a number or null") }
                hasEntityID = true
            case "timestamp":
                guard let text = JSONObjectScanner.string(body, member.valueRange), RFC3339.isTimestamp(text) else { continue }
                hasTimestamp = true
            default: break
            }
            members.append(UInt8(ascii: ","))
            members += body[member.keyRange]
            members.append(UInt8(ascii: ":"))
            members += body[member.valueRange]
        }
        guard let entityType else { throw .messageBody("entity_type is missing") }
        guard let operation else { throw .messageBody("operation is missing") }
        guard hasEntityID else { throw .messageBody("entity_id is missing") }
        self.entityType = entityType
        self.operation = operation
        self.members = members
        self.hasTimestamp = hasTimestamp
    }

    private static func name(
        _ body: UnsafeRawBufferPointer, _ member: JSONObjectScanner.Member, _ key: String
    ) throws(PoisonReason) -> String {
        guard let bytes = JSONObjectScanner.string(body, member.valueRange), !bytes.isEmpty else {
            throw .messageBody("\(key) is not a non-empty string")
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// RFC 3339's `date-time`: `2026-11-23T07:09:12.5+00:00`.
enum RFC3339 {
    static func isTimestamp(_ text: [UInt8]) -> Bool {
        var rest = text[...]
        func digits(_ count: Int, _ range: ClosedRange<Int>) -> Bool {
            guard rest.count >= count else { return false }
            var value = 0
            for byte in rest.prefix(count) {
                guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return false }
                value = value * 10 + Int(byte - UInt8(ascii: "0"))
            }
            rest = rest.dropFirst(count)
            return range.contains(value)
        }
        func one(of allowed: StaticString) -> Bool {
            guard let byte = rest.first, UnsafeBufferPointer(start: allowed.utf8Start, count: allowed.utf8CodeUnitCount).contains(byte)
            else { return false }
            rest = rest.dropFirst()
            return true
        }
        guard digits(4, 0...9999), one(of: "-"), digits(2, 1...12), one(of: "-"), digits(2, 1...31), one(of: "Tt"),
            digits(2, 0...23), one(of: ":"), digits(2, 0...59), one(of: ":"), digits(2, 0...60)
        else { return false }
        if one(of: ".") {
            guard digits(1, 0...9) else { return false }
            while digits(1, 0...9) {}
        }
        if one(of: "Zz") { return rest.isEmpty }
        return one(of: "+-") && digits(2, 0...23) && one(of: ":") && digits(2, 0...59) && rest.isEmpty
    }
}
