import WAL

/// Markers of changes that were passed over on purpose: built as a gap's, the same in every format, each in its change's place.
extension EventEncoder {
    /// What a marker has besides what it tells of its change.
    struct SkipPlan {
        let skip: AcceptedSkip
        let subject: [UInt8]
        /// Index into `TransactionAssembler.eventKinds`.
        let kindIndex: Int32
    }

    /// Encodes the marker of a row's change, or of a TRUNCATE (without `row`), and leaves it open.
    mutating func openSkipped(
        _ reason: PoisonReason, _ row: RowView?, of relation: RelationPlan, operation: String, plan: SkipPlan
    ) throws(EncodingFailure) {
        beginSkipped(reason, plan, sentByteCount: row?.byteCount ?? 0)
        writePoisoned(row, of: relation, operation: operation)
        try finishSkipped(
            plan, tail: SlotstreamFormat.tail(
                source: JSONText.source(database: relation.database, schema: relation.schema, table: relation.table)))
    }

    /// Encodes the marker of a logical message and leaves it open.
    mutating func openSkipped(
        _ reason: PoisonReason, _ body: UnsafeRawBufferPointer, prefix: String, database: String, plan: SkipPlan
    ) throws(EncodingFailure) {
        beginSkipped(reason, plan, sentByteCount: body.count)
        let tail = SlotstreamFormat.tail(source: JSONText.source(database: database))
        writePoisoned(body, prefix: prefix, tail: tail)
        try finishSkipped(plan, tail: tail)
    }

    private mutating func beginSkipped(_ reason: PoisonReason, _ plan: SkipPlan, sentByteCount: Int) {
        let skip = plan.skip
        begin(ordinal: skip.id.position.ordinal, idSuffix: skip.markerID.utf8.dropFirst(skip.id.description.utf8.count), sentByteCount: sentByteCount)
        subject.removeAll()
        subject.append(plan.subject)
        payload.append("{\"id\":\"")
        payload.append(messageID.bytes)
        payload.append("\",\"operation\":\"")
        payload.append(Array(ReservedEntity.skipOperation.utf8))
        payload.append("\"")
        payload.append(timestamp.bytes)
        payload.append(",\"skip\":{\"id\":")
        payload.append(JSONText.string(skip.id.description))
        payload.append(",\"accepted_by\":")
        payload.append(JSONText.string(skip.acceptedBy))
        payload.append(",\"accepted_at\":")
        payload.append(JSONText.string(skip.acceptedAt))
        payload.append(",")
        writePoisoned(reason, sentByteCount: sentByteCount)
    }

    private mutating func finishSkipped(_ plan: SkipPlan, tail: [UInt8]) throws(EncodingFailure) {
        payload.append(UInt8(ascii: "}"))
        try finish(tail: tail, ordinal: plan.skip.id.position.ordinal, kindIndex: plan.kindIndex, hasTransaction: true)
    }
}
