/// The event that the body of a logical message is: the JSON that the FraiseQL page's trigger sends to `pg_notify`.
struct LogicalMessageEvent {
    /// An event has a few; each is kept while it is told whether a name comes twice.
    static let memberLimit = 10_000
    /// Of a member's name.
    static let nameByteCountLimit = 1_024

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
    /// - Parameters:
    ///   - byteCountLimit: Of what goes out; reading stops there.
    ///   - omittedData: Why `entity`, `before` and `changes` are left out, if they are; `omitted` says so then.
    /// - Throws: `.messageBody` with what is missing or is not allowed, `.payloadTooLarge`.
    init(
        _ body: UnsafeRawBufferPointer, byteCountLimit: Int, omittedData: PoisonReason? = nil
    ) throws(PoisonReason) {
        var entityType: String?
        var operation: String?
        var entityID: [UInt8]?
        var entity: [UInt8]?
        var changes: [UInt8]?
        var timestamp: [UInt8]?
        var members: [UInt8] = []
        var seen: Set<[UInt8]> = []
        try JSONObjectScanner.forEachMember(of: body) { (member) throws(PoisonReason) in
            try Self.checkName(member, &seen)
            switch String(decoding: member.key, as: UTF8.self) {
            case "id", "transaction", "source": return
            case "before", "omitted": if omittedData != nil { return }
            case "entity":
                if omittedData != nil { return }
                entity = Array(body[member.valueRange])
            case "changes":
                if omittedData != nil { return }
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
                    return
                }
                timestamp = Array(body[member.valueRange])
            default: break
            }
            guard members.count + member.keyRange.count + member.valueRange.count < byteCountLimit else {
                throw .payloadTooLarge(sentByteCount: body.count, limit: byteCountLimit)
            }
            members.append(UInt8(ascii: ","))
            members += body[member.keyRange]
            members.append(UInt8(ascii: ":"))
            members += body[member.valueRange]
        }
        guard let entityType else { throw .messageBody("entity_type is missing") }
        guard !ReservedEntity.isReserved(entityType) else {
            throw .messageBody("the entity_type \(ReservedEntity.name) is Slotstream's own")
        }
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

    /// Refuses a name that could be taken for another, and more names than an event has.
    private static func checkName(_ member: JSONObjectScanner.Member, _ seen: inout Set<[UInt8]>) throws(PoisonReason) {
        var place: String { "the member at offset \(member.keyRange.lowerBound)" }
        guard member.key.count <= nameByteCountLimit else {
            throw .messageBody("the name of \(place) has more than \(nameByteCountLimit) bytes")
        }
        guard seen.insert(member.key).inserted else { throw .messageBody("\(place) has the name of an earlier member") }
        guard seen.count <= memberLimit else { throw .messageBody("the object has more than \(memberLimit) members") }
        let folded = ReservedEntity.folded(member.key)
        guard folded == member.key || !ReservedEntity.memberNames.contains(folded) else {
            throw .messageBody("the name of \(place) differs from \(String(decoding: folded, as: UTF8.self)) in case only")
        }
    }

    /// Whether a member's value is `{"name":{"old":…,"new":…},…}`.
    private static func areChanges(_ body: UnsafeRawBufferPointer, _ range: Range<Int>) -> Bool {
        let value = UnsafeRawBufferPointer(rebasing: body[range])
        var areAll = true
        let columns: Void? = try? JSONObjectScanner.forEachMember(of: value) { column in
            areAll = areAll && isChange(UnsafeRawBufferPointer(rebasing: value[column.valueRange]))
        }
        return columns != nil && areAll
    }

    /// Whether it is `{"old":…,"new":…}`.
    private static func isChange(_ value: UnsafeRawBufferPointer) -> Bool {
        var oldCount = 0
        var newCount = 0
        var isOther = false
        let sides: Void? = try? JSONObjectScanner.forEachMember(of: value) { side in
            if side.key == Array("old".utf8) {
                oldCount += 1
            } else if side.key == Array("new".utf8) {
                newCount += 1
            } else {
                isOther = true
            }
        }
        return sides != nil && !isOther && oldCount > 0 && newCount > 0
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
