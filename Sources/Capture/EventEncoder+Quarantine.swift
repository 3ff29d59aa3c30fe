import WAL

/// Events in quarantine: what could not be an event, in its place, on the reserved subject.
///
/// Each is a valid event of its format, so that a consumer of everything does not stumble over it: `entity_type` `_slotstream`, `operation`
/// `POISON`, `poison` says why and what of. It holds no row: its table does. It holds the beginning of a message's body: nothing else does.
extension EventEncoder {
    /// What all quarantined events have in common.
    struct QuarantinePlan {
        let subject: [UInt8]
        let head: [UInt8]
        let envelope: [UInt8]
        /// Index into `TransactionAssembler.eventKinds`.
        let kindIndex: Int32

        init(_ configuration: CaptureConfiguration, identity: SourceIdentity, kindIndex: Int32) {
            let entity = ReservedEntity.name
            let operation = ReservedEntity.poisonOperation
            subject = ReservedEntity.subject(prefix: configuration.subjectPrefix) + Array(".\(operation)".utf8)
            head = EventText.head(configuration.format, entity: entity, operation: operation)
            envelope = EventText.envelope(
                configuration.format, identity: identity, entity: entity, operation: operation)
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
        payload.append(",\"entity_type\":")
        payload.append(JSONText.string(relation.entity))
        payload.append(",\"operation\":")
        payload.append(JSONText.string(operation))
        if let row {
            // One that cannot be written is absent.
            let isKnown: Void? = try? encodeEntityID(of: relation, row: row)
            if isKnown != nil, entityID.count <= Self.quarantinedIdentityByteCountLimit { writeIdentity() }
        }
        try finishQuarantined(
            source: EventText.source(database: relation.database, schema: relation.schema, table: relation.table),
            tail: relation.tail, plan: plan, ordinal: ordinal)
    }

    /// Encodes what is known of a logical message and leaves it open.
    mutating func openQuarantined(
        _ reason: PoisonReason, _ body: UnsafeRawBufferPointer, prefix: String, database: String, plan: QuarantinePlan,
        ordinal: UInt64
    ) throws(EncodingFailure) {
        try beginQuarantined(reason, plan: plan, ordinal: ordinal, sentByteCount: body.count)
        payload.append(",\"message\":{\"prefix\":")
        payload.append(JSONText.string(prefix))
        let tail = EventText.tail(format, database: database, schema: nil, table: nil)
        let room = payloadLimit - payload.count - transaction.count - 2 * tail.count - Self.restByteCount
        let shown = payload.appendBody(body, byteCountLimit: min(room, Self.quarantinedBodyByteCountLimit))
        if shown < body.count { payload.append(",\"is_cut\":true") }
        payload.append(UInt8(ascii: "}"))
        try finishQuarantined(
            source: EventText.source(database: database, schema: nil, table: nil), tail: tail, plan: plan,
            ordinal: ordinal)
    }

    private mutating func beginQuarantined(
        _ reason: PoisonReason, plan: QuarantinePlan, ordinal: UInt64, sentByteCount: Int
    ) throws(EncodingFailure) {
        begin(ordinal: ordinal, sentByteCount: sentByteCount)
        subject.removeAll()
        subject.append(plan.subject)
        entityID.removeAll()
        try writeOpening(envelope: plan.envelope, head: plan.head)
        if format == .fraiseql {
            payload.append(",\"entity_id\":")
            payload.append(UUIDText.zero)
            payload.append(",\"data\":{\"poison\":{\"reason\":")
        } else {
            payload.append(timestamp.bytes)
            payload.append(",\"poison\":{\"reason\":")
        }
        payload.append(JSONText.string(reason.name))
        payload.append(",\"description\":")
        payload.append(JSONText.string(reason.description))
        payload.append(",\"byte_count\":")
        payload.append(decimal: UInt64(sentByteCount))
    }

    private mutating func finishQuarantined(
        source: [UInt8], tail: [UInt8], plan: QuarantinePlan, ordinal: UInt64
    ) throws(EncodingFailure) {
        payload.append(UInt8(ascii: "}"))
        if format == .fraiseql {
            // FraiseQL's events have no source of their own.
            payload.append(",\"source\":")
            payload.append(source)
            payload.append("},\"changes\":null")
            writeFraiseQLRest(timestamp: nil)
        }
        try finish(tail: tail, ordinal: ordinal, kindIndex: plan.kindIndex)
    }
}
