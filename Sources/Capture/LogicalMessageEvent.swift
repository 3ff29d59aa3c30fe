/// The event that the body of a logical message is: the JSON that the FraiseQL page's trigger sends to `pg_notify`.
struct LogicalMessageEvent {
    let entityType: String
    let operation: String
    /// The body's own members, `,"key":value` each, without those that are set by us.
    let members: [UInt8]
    /// `timestamp` as it stands in the body, if it is RFC 3339.
    let timestamp: [UInt8]?
    /// `entity_id` as it stands in the body: a string, a number or null.
    let entityID: [UInt8]
    /// `entity` as it stands in the body, if it has one.
    let entity: [UInt8]?
    /// `changes` as it stands in the body, if it is what events of rows have: `{"name":{"old":…,"new":…},…}`.
    let changes: [UInt8]?
    /// Why `entity`, `before` and `changes` are left out, if they are.
    let omittedData: PoisonReason?

    /// Required: `entity_type` and `operation` (non-empty strings), `entity_id` (string, number or null). `id`, `transaction` and `source` are set by us over any of the same name.
    /// - Parameter omittedData: Why `entity`, `before` and `changes` are left out, if they are; `omitted` says so then.
    /// - Throws: `.messageBody` with what is missing.
    init(_ body: UnsafeRawBufferPointer, omittedData: PoisonReason? = nil) throws(PoisonReason) {
        let found = try JSONObjectScanner.members(of: body)
        var entityType: String?
        var operation: String?
        var entityID: [UInt8]?
        var entity: [UInt8]?
        var changes: [UInt8]?
        var timestamp: [UInt8]?
        var members: [UInt8] = []
        var seen: Set<[UInt8]> = []
        for member in found {
            let name = String(decoding: member.key, as: UTF8.self)
            guard seen.insert(member.key).inserted else { throw .messageBody("two members are named \(name)") }
            switch name {
            case "id", "transaction", "source": continue
            case "before", "omitted": if omittedData != nil { continue }
            case "entity":
                if omittedData != nil { continue }
                entity = Array(body[member.valueRange])
            case "changes":
                if omittedData != nil { continue }
                if Self.areChanges(body, member.valueRange) { changes = Array(body[member.valueRange]) }
            case "entity_type": entityType = try Self.name(body, member, "entity_type")
            case "operation": operation = try Self.name(body, member, "operation")
            case "entity_id":
                let first = body[member.valueRange.lowerBound]
                guard first != UInt8(ascii: "{"), first != UInt8(ascii: "["), first != UInt8(ascii: "t"),
                    first != UInt8(ascii: "f")
                else { throw .messageBody("entity_id is not a string, a number or null") }
                entityID = Array(body[member.valueRange])
            case "timestamp":
                guard let text = JSONObjectScanner.string(body, member.valueRange), RFC3339.isTimestamp(text) else {
                    continue
                }
                timestamp = Array(body[member.valueRange])
            default: break
            }
            members.append(UInt8(ascii: ","))
            members += body[member.keyRange]
            members.append(UInt8(ascii: ":"))
            members += body[member.valueRange]
        }
        guard let entityType else { throw .messageBody("entity_type is missing") }
        guard let operation else { throw .messageBody("operation is missing") }
        guard let entityID else { throw .messageBody("entity_id is missing") }
        if let omittedData {
            members += Array(",\"omitted\":".utf8) + JSONText.string(omittedData.description)
        }
        self.entityType = entityType
        self.operation = operation
        self.members = members
        self.timestamp = timestamp
        self.entityID = entityID
        self.entity = entity
        self.changes = changes
        self.omittedData = omittedData
    }

    /// Whether a member's value is `{"name":{"old":…,"new":…},…}`.
    private static func areChanges(_ body: UnsafeRawBufferPointer, _ range: Range<Int>) -> Bool {
        let value = UnsafeRawBufferPointer(rebasing: body[range])
        guard let columns = try? JSONObjectScanner.members(of: value) else { return false }
        return columns.allSatisfy { column in
            let change = UnsafeRawBufferPointer(rebasing: value[column.valueRange])
            guard let sides = try? JSONObjectScanner.members(of: change) else { return false }
            return Set(sides.map(\.key)) == [Array("old".utf8), Array("new".utf8)]
        }
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
