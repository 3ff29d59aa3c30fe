/// The event that the body of a logical message is: the JSON that the FraiseQL page's trigger sends to `pg_notify`.
struct LogicalMessageEvent {
    let entityType: String
    let operation: String
    /// The body's own members, `,"key":value` each, without those that are set by us.
    let members: [UInt8]
    /// Whether `members` has a `timestamp` that is RFC 3339.
    let hasTimestamp: Bool

    /// Required: `entity_type` and `operation` (non-empty strings), `entity_id` (string, number or null). `id`, `transaction` and `source` are set by us over any of the same name.
    /// - Parameter omittedData: Why `entity`, `before` and `changes` are left out, if they are; `omitted` says so then.
    /// - Throws: `.messageBody` with what is missing.
    init(_ body: UnsafeRawBufferPointer, omittedData: PoisonReason? = nil) throws(PoisonReason) {
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
            case "entity", "before", "changes", "omitted": if omittedData != nil { continue }
            case "entity_type": entityType = try Self.name(body, member, "entity_type")
            case "operation": operation = try Self.name(body, member, "operation")
            case "entity_id":
                let first = body[member.valueRange.lowerBound]
                guard first != UInt8(ascii: "{"), first != UInt8(ascii: "["), first != UInt8(ascii: "t"),
                    first != UInt8(ascii: "f")
                else { throw .messageBody("entity_id is not a string, a number or null") }
                hasEntityID = true
            case "timestamp":
                guard let text = JSONObjectScanner.string(body, member.valueRange), RFC3339.isTimestamp(text) else {
                    continue
                }
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
        if let omittedData {
            members += Array(",\"omitted\":".utf8) + JSONText.string(omittedData.description)
        }
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
