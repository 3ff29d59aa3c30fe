import WAL

/// Slotstream's own format: `{"id","entity_type","operation","entity_id","timestamp","entity",…,"transaction","source"}`.
enum SlotstreamFormat: EventLayout {
    static let hasTransaction = true
    static let demandsIdentity = false

    // MARK: - Writing

    static func opening(entity: String, operation: String, identity: SourceIdentity) -> EventOpening {
        EventOpening(
            head: Array("\",\"entity_type\":".utf8) + JSONText.string(entity) + Array(",\"operation\":".utf8)
                + JSONText.string(operation))
    }

    static func tail(source: [UInt8]) -> [UInt8] { Array("},\"source\":".utf8) + source + Array("}".utf8) }

    static func writeRow(
        _ operation: RelationPlan.Operation, of plan: RelationPlan, _ row: RowView, to encoder: inout EventEncoder
    ) throws(EncodingFailure) {
        write(operation.opening.head, to: &encoder)
        encoder.writeIdentity()
        encoder.payload.append(encoder.timestamp.bytes)
        encoder.payload.append(",\"entity\":")
        try encoder.writeTuple(row.current, of: plan, row: row)
        if operation.rowOperation == .update, row.hasOld {
            encoder.payload.append(",\"before\":")
            try encoder.writeTuple(.old, of: plan, row: row)
            encoder.payload.append(",\"changes\":")
            try encoder.writeChanges(of: plan, row: row)
        }
        if operation.rowOperation != .delete { encoder.writeUnchanged(of: plan, row: row) }
    }

    static func writeTruncate(
        _ opening: EventOpening, cascade: Bool, restartIdentity: Bool, to encoder: inout EventEncoder
    ) {
        write(opening.head, to: &encoder)
        encoder.payload.append(encoder.timestamp.bytes)
        encoder.payload.append(",\"truncate\":{\"cascade\":")
        encoder.payload.append(cascade ? "true" : "false")
        encoder.payload.append(",\"restart_identity\":")
        encoder.payload.append(restartIdentity ? "true" : "false")
        encoder.payload.append(UInt8(ascii: "}"))
    }

    static func writeReference(
        _ opening: EventOpening, omitted: String, to encoder: inout EventEncoder
    ) throws(EncodingFailure) {
        write(opening.head, to: &encoder)
        encoder.writeIdentity()
        encoder.payload.append(encoder.timestamp.bytes)
        encoder.payload.append(",\"omitted\":")
        encoder.payload.append(JSONText.string(omitted))
    }

    /// Its members stand as the body has them, in the body's order.
    static func writeMessage(
        _ message: LogicalMessageEvent, _ opening: EventOpening, to encoder: inout EventEncoder
    ) throws(EncodingFailure) {
        // The rest of the head is what the body itself has.
        write(Array("\"".utf8), to: &encoder)
        encoder.payload.append(message.members)
        if message.timestamp == nil { encoder.payload.append(encoder.timestamp.bytes) }
    }

    static func beginQuarantined(_ opening: EventOpening, to encoder: inout EventEncoder) {
        write(opening.head, to: &encoder)
        encoder.payload.append(encoder.timestamp.bytes)
        encoder.payload.append(",\"poison\":")
    }

    static func endQuarantined(source: [UInt8], to encoder: inout EventEncoder) {}

    /// `{"id":"…` and what follows it.
    private static func write(_ head: [UInt8], to encoder: inout EventEncoder) {
        encoder.payload.append("{\"id\":\"")
        encoder.payload.append(encoder.messageID.bytes)
        encoder.payload.append(head)
    }

    // MARK: - Reading

    static func read(_ object: EventObject, subject: String) -> ReadEvent? {
        guard let operation = object.string("operation") else { return nil }
        var event = ReadEvent(entity: object.string("entity_type") ?? "", operation: operation)
        // `id`, `transaction` and `source` are ours, whatever members the body of a logical message has.
        guard let transaction = object.object("transaction") else { return event }
        event.isLast = transaction.bool("last")
        if let lsn = transaction.string("lsn").flatMap({ LSN($0) }), let ordinal = transaction.integer("ordinal") {
            event.position = Position(commitLSN: lsn, ordinal: ordinal)
        }
        let source = object.object("source")
        if let schema = source?.string("schema"), let table = source?.string("table") { event.table = "\(schema).\(table)" }
        let isOfTable = source?.string("schema") != nil
        if event.entity == ReservedEntity.name {
            event.kind = .quarantined
        } else if !event.entity.isEmpty {
            event.kind = isOfTable ? .change : .message
        }
        // A logical message may have a time of its own.
        if isOfTable { event.commitTimestamp = object.string("timestamp").flatMap { PostgresTimestamp($0) } }
        return event
    }

    static func readDocument(_ object: JSONObject, subject: String?) -> ReadDocument? {
        ReadDocument(object, operation: object["operation"]?.string, data: "entity")
    }
}
