import WAL

/// Events in quarantine: what could not be an event, in its place, on the reserved subject.
///
/// Each is a valid event of its format, so that a consumer of everything does not stumble over it: `entity_type` `_slotstream`, `operation`
/// `POISON`, `poison` says why and what of. It holds no row: its table does. It holds the beginning of a message's body: nothing else does.
extension EventEncoder {
    /// What all quarantined events have in common.
    struct QuarantinePlan {
        let subject: [UInt8]
        let opening: EventOpening
        /// Index into `TransactionAssembler.eventKinds`.
        let kindIndex: Int32

        init(_ configuration: CaptureConfiguration, identity: SourceIdentity, kindIndex: Int32) {
            let entity = ReservedEntity.name
            let operation = ReservedEntity.poisonOperation
            subject = ReservedEntity.subject(prefix: configuration.subjectPrefix) + Array(".\(operation)".utf8)
            opening = configuration.format.layout.opening(entity: entity, operation: operation, identity: identity)
            self.kindIndex = kindIndex
        }
    }

    /// JSON bytes of a message's body at most: what is sent by hand is whole, and can be mended and sent again.
    static let quarantinedBodyByteCountLimit = 64 * 1024
    /// Of a row's `entity_id` as JSON; a longer one is left out, since a part of it would be another row's.
    static let quarantinedIdentityByteCountLimit = 1_024
    /// For what comes behind a message's body, beside tail and transaction.
    private static let restByteCount = 512

    /// Encodes what is known of a row's change, or of a TRUNCATE (without `row`), and leaves it open.
    mutating func openQuarantined(
        _ reason: PoisonReason, _ row: RowView?, of relation: RelationPlan, operation: String, plan: QuarantinePlan,
        ordinal: UInt64
    ) throws(EncodingFailure) {
        try beginQuarantined(reason, plan: plan, ordinal: ordinal, sentByteCount: row?.byteCount ?? 0)
        writePoisoned(row, of: relation, operation: operation)
        try finishQuarantined(
            source: JSONText.source(database: relation.database, schema: relation.schema, table: relation.table),
            tail: relation.tail, plan: plan, ordinal: ordinal)
    }

    /// Encodes what is known of a logical message and leaves it open.
    mutating func openQuarantined(
        _ reason: PoisonReason, _ body: UnsafeRawBufferPointer, prefix: String, database: String, plan: QuarantinePlan,
        ordinal: UInt64
    ) throws(EncodingFailure) {
        try beginQuarantined(reason, plan: plan, ordinal: ordinal, sentByteCount: body.count)
        let source = JSONText.source(database: database)
        let tail = layout.tail(source: source)
        writePoisoned(body, prefix: prefix, tail: tail)
        try finishQuarantined(source: source, tail: tail, plan: plan, ordinal: ordinal)
    }

    private mutating func beginQuarantined(
        _ reason: PoisonReason, plan: QuarantinePlan, ordinal: UInt64, sentByteCount: Int
    ) throws(EncodingFailure) {
        begin(ordinal: ordinal, sentByteCount: sentByteCount)
        subject.removeAll()
        subject.append(plan.subject)
        entityID.removeAll()
        try layout.beginQuarantined(plan.opening, to: &self)
        payload.append(UInt8(ascii: "{"))
        writePoisoned(reason, sentByteCount: sentByteCount)
    }

    /// Writes why a change could not be an event.
    mutating func writePoisoned(_ reason: PoisonReason, sentByteCount: Int) {
        payload.append("\"reason\":")
        payload.append(JSONText.string(reason.name))
        payload.append(",\"description\":")
        payload.append(JSONText.string(reason.description))
        payload.append(",\"byte_count\":")
        payload.append(decimal: UInt64(sentByteCount))
    }

    /// Writes of which table and row it was, as far as that is known.
    mutating func writePoisoned(_ row: RowView?, of relation: RelationPlan, operation: String) {
        payload.append(",\"entity_type\":")
        payload.append(JSONText.string(relation.entity))
        payload.append(",\"operation\":")
        payload.append(JSONText.string(operation))
        guard let row else { return }
        // One that cannot be written is absent.
        let isKnown: Void? = try? encodeEntityID(of: relation, row: row)
        if isKnown != nil, entityID.count <= Self.quarantinedIdentityByteCountLimit { writeIdentity() }
    }

    /// Writes the beginning of a logical message's body.
    mutating func writePoisoned(_ body: UnsafeRawBufferPointer, prefix: String, tail: [UInt8]) {
        payload.append(",\"message\":{\"prefix\":")
        payload.append(JSONText.string(prefix))
        let room = payloadLimit - payload.count - transaction.count - 2 * tail.count - Self.restByteCount
        let shown = payload.appendBody(body, byteCountLimit: min(room, Self.quarantinedBodyByteCountLimit))
        if shown < body.count { payload.append(",\"is_cut\":true") }
        payload.append(UInt8(ascii: "}"))
    }

    private mutating func finishQuarantined(
        source: [UInt8], tail: [UInt8], plan: QuarantinePlan, ordinal: UInt64
    ) throws(EncodingFailure) {
        payload.append(UInt8(ascii: "}"))
        layout.endQuarantined(source: source, to: &self)
        try finish(tail: tail, ordinal: ordinal, kindIndex: plan.kindIndex)
    }
}
