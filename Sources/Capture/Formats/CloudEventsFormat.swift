/// CloudEvents 1.0, structured: an envelope, whose `data` is the event in Slotstream's own format, byte for byte.
enum CloudEventsFormat: EventLayout {
    static let hasTransaction = true
    static let demandsIdentity = false
    /// `,"timestamp":`
    private static let timestampKeyByteCount = 13

    // MARK: - Writing

    static func opening(entity: String, operation: String, identity: SourceIdentity) -> EventOpening {
        var opening = SlotstreamFormat.opening(entity: entity, operation: operation, identity: identity)
        // A URI reference: the database's name is encoded as a subject's tokens are.
        let source =
            "/slotstream/\(identity.systemID)/"
            + String(decoding: EntityNaming.token(identity.databaseName), as: UTF8.self)
        opening.envelope =
            Array("\",\"source\":".utf8) + JSONText.string(source) + Array(",\"type\":".utf8)
            + JSONText.attribute("\(entity).\(operation)")
        return opening
    }

    static func tail(source: [UInt8]) -> [UInt8] { SlotstreamFormat.tail(source: source) + Array("}".utf8) }

    static func writeRow(
        _ operation: RelationPlan.Operation, of plan: RelationPlan, _ row: RowView, to encoder: inout EventEncoder
    ) throws(EncodingFailure) {
        writeEnvelope(operation.opening, to: &encoder)
        try SlotstreamFormat.writeRow(operation, of: plan, row, to: &encoder)
    }

    static func writeTruncate(
        _ opening: EventOpening, cascade: Bool, restartIdentity: Bool, to encoder: inout EventEncoder
    ) {
        writeEnvelope(opening, to: &encoder)
        SlotstreamFormat.writeTruncate(opening, cascade: cascade, restartIdentity: restartIdentity, to: &encoder)
    }

    static func writeReference(
        _ opening: EventOpening, omitted: String, to encoder: inout EventEncoder
    ) throws(EncodingFailure) {
        writeEnvelope(opening, to: &encoder)
        try SlotstreamFormat.writeReference(opening, omitted: omitted, to: &encoder)
    }

    static func writeMessage(
        _ message: LogicalMessageEvent, _ opening: EventOpening, to encoder: inout EventEncoder
    ) throws(EncodingFailure) {
        writeEnvelope(opening, to: &encoder)
        try SlotstreamFormat.writeMessage(message, opening, to: &encoder)
    }

    static func beginQuarantined(_ opening: EventOpening, to encoder: inout EventEncoder) {
        writeEnvelope(opening, to: &encoder)
        SlotstreamFormat.beginQuarantined(opening, to: &encoder)
    }

    static func endQuarantined(source: [UInt8], to encoder: inout EventEncoder) {
        SlotstreamFormat.endQuarantined(source: source, to: &encoder)
    }

    /// All up to the event itself.
    private static func writeEnvelope(_ opening: EventOpening, to encoder: inout EventEncoder) {
        encoder.payload.append("{\"specversion\":\"1.0\",\"id\":\"")
        encoder.payload.append(encoder.messageID.bytes)
        encoder.payload.append(opening.envelope)
        // CloudEvents has no empty subject.
        if encoder.entityID.count > 2 {
            encoder.payload.append(",\"subject\":")
            encoder.payload.appendAttribute(encoder.entityID.bytes)
        }
        encoder.payload.append(",\"time\":")
        encoder.payload.append(UnsafeRawBufferPointer(rebasing: encoder.timestamp.bytes[timestampKeyByteCount...]))
        encoder.payload.append(",\"datacontenttype\":\"application/json\",\"data\":")
    }

    // MARK: - Reading

    static func read(_ object: EventObject, subject: String) -> ReadEvent? {
        object.object("data").flatMap { SlotstreamFormat.read($0, subject: subject) }
    }

    static func readDocument(_ object: JSONObject, subject: String?) -> ReadDocument? {
        object["data"]?.object.flatMap { SlotstreamFormat.readDocument($0, subject: subject) }
    }
}
