/// FraiseQL's `EntityEvent`, member for member in its order. It has no place for a position: what is read back tells neither that nor `last`.
enum FraiseQLFormat: EventLayout {
    static let hasTransaction = false
    static let demandsIdentity = true
    /// `EventType` of an operation that it does not know by name.
    private static let otherType = "CUSTOM"

    // MARK: - Writing

    static func opening(entity: String, operation: String, identity: SourceIdentity) -> EventOpening {
        let type = ["INSERT", "UPDATE", "DELETE"].contains(operation) ? operation : otherType
        return EventOpening(
            head: Array("\",\"event_type\":\"\(type)\",\"entity_type\":".utf8) + JSONText.string(entity))
    }

    static func tail(source: [UInt8]) -> [UInt8] { Array("}".utf8) }

    static func writeRow(
        _ operation: RelationPlan.Operation, of plan: RelationPlan, _ row: RowView, to encoder: inout EventEncoder
    ) throws(EncodingFailure) {
        try writeOpening(operation.opening, to: &encoder)
        encoder.payload.append(",\"data\":")
        try encoder.writeTuple(row.current, of: plan, row: row)
        encoder.payload.append(",\"changes\":")
        if operation.rowOperation == .update, row.hasOld {
            try encoder.writeChanges(of: plan, row: row)
        } else {
            encoder.payload.append("null")
        }
        writeRest(to: &encoder)
    }

    static func writeTruncate(
        _ opening: EventOpening, cascade: Bool, restartIdentity: Bool, to encoder: inout EventEncoder
    ) throws(EncodingFailure) {
        try writeOpeningWithoutEntity(opening, to: &encoder)
        encoder.payload.append(",\"data\":null,\"changes\":null")
        writeRest(to: &encoder)
    }

    static func writeReference(
        _ opening: EventOpening, omitted: String, to encoder: inout EventEncoder
    ) throws(EncodingFailure) {
        try writeOpening(opening, to: &encoder)
        encoder.payload.append(",\"data\":null,\"changes\":null,\"omitted\":")
        encoder.payload.append(JSONText.string(omitted))
        writeRest(to: &encoder)
    }

    static func writeMessage(
        _ message: LogicalMessageEvent, _ opening: EventOpening, to encoder: inout EventEncoder
    ) throws(EncodingFailure) {
        try writeOpening(opening, to: &encoder)
        encoder.payload.append(",\"data\":")
        encoder.payload.append(message.entity ?? Array("null".utf8))
        encoder.payload.append(",\"changes\":")
        encoder.payload.append(message.changes ?? Array("null".utf8))
        if let omitted = message.omittedData {
            encoder.payload.append(",\"omitted\":")
            encoder.payload.append(JSONText.string(omitted.description))
        }
        writeRest(timestamp: message.timestamp, to: &encoder)
    }

    static func beginQuarantined(_ opening: EventOpening, to encoder: inout EventEncoder) throws(EncodingFailure) {
        try writeOpeningWithoutEntity(opening, to: &encoder)
        encoder.payload.append(",\"data\":{\"poison\":")
    }

    /// Its events have no source of their own.
    static func endQuarantined(source: [UInt8], to encoder: inout EventEncoder) {
        encoder.payload.append(",\"source\":")
        encoder.payload.append(source)
        encoder.payload.append("},\"changes\":null")
        writeRest(to: &encoder)
    }

    /// `{"id":"…` and what follows it, with an `entity_id` that has to be a UUID.
    private static func writeOpening(
        _ opening: EventOpening, to encoder: inout EventEncoder
    ) throws(EncodingFailure) {
        try write(opening, to: &encoder)
        guard UUIDText.isQuotedUUID(encoder.entityID.bytes) else { throw .poison(.entityIDNotUUID) }
        encoder.writeIdentity()
    }

    /// The same of what has no one entity.
    private static func writeOpeningWithoutEntity(
        _ opening: EventOpening, to encoder: inout EventEncoder
    ) throws(EncodingFailure) {
        try write(opening, to: &encoder)
        encoder.payload.append(",\"entity_id\":")
        encoder.payload.append(UUIDText.zero)
    }

    private static func write(_ opening: EventOpening, to encoder: inout EventEncoder) throws(EncodingFailure) {
        encoder.payload.append("{\"id\":\"")
        guard UUIDText.appendVersion5(of: encoder.messageID.bytes, to: &encoder.payload, sha1: encoder.functions.sha1) else {
            throw .digestUnavailable
        }
        encoder.payload.append(opening.head)
    }

    /// What follows `changes`: nobody here knows of users, tenants and actors.
    /// - Parameter own: A JSON string of the event's own time; nil: the commit's time.
    private static func writeRest(timestamp own: [UInt8]? = nil, to encoder: inout EventEncoder) {
        encoder.payload.append(",\"user_id\":null,\"tenant_id\":null")
        if let own {
            encoder.payload.append(",\"timestamp\":")
            encoder.payload.append(own)
        } else {
            encoder.payload.append(encoder.timestamp.bytes)
        }
        encoder.payload.append(
            ",\"duration_ms\":null,\"seq\":null,\"actor_type\":null,\"acting_for\":null,\"schema_version\":null,\"cdc_source\":\"slotstream\""
        )
    }

    // MARK: - Reading

    /// FraiseQL's own backend writes such events too: they are read all the same.
    static func read(_ object: EventObject, subject: String) -> ReadEvent? {
        guard let type = object.string("event_type") else { return nil }
        var event = ReadEvent(entity: object.string("entity_type") ?? "", operation: operation(type, subject: subject))
        if event.entity == ReservedEntity.name { event.kind = .quarantined }
        return event
    }

    static func readDocument(_ object: JSONObject, subject: String?) -> ReadDocument? {
        guard let type = object["event_type"]?.string else { return nil }
        return ReadDocument(object, operation: operation(type, subject: subject ?? ""), data: "data")
    }

    /// The subject's last token is the operation that `type` has no name for.
    private static func operation(_ type: String, subject: String) -> String {
        guard type == otherType, let token = subject.split(separator: ".").last else { return type }
        return String(token)
    }
}
