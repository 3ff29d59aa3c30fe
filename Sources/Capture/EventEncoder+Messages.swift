/// The events of logical messages.
extension EventEncoder {
    /// What of a logical message's event its entity and operation decide.
    struct MessagePlan {
        var subject: [UInt8]
        var head: [UInt8]
        var envelope: [UInt8]
        var tail: [UInt8]
        /// Index into `TransactionAssembler.eventKinds`.
        var kindIndex: Int32
    }

    /// Encodes a logical message and leaves it open. In the format of its own its members stand as the body has them, in the body's order.
    mutating func openMessage(
        _ message: LogicalMessageEvent, plan: MessagePlan, ordinal: UInt64, sentByteCount: Int
    ) throws(EncodingFailure) {
        begin(ordinal: ordinal, sentByteCount: sentByteCount)
        subject.removeAll()
        subject.append(plan.subject)
        try checkSubject()
        encodeEntityID(message.entityID)
        switch format {
        case .slotstream, .cloudevents:
            // `head` is what the body itself has.
            try writeOpening(envelope: plan.envelope, head: Array("\"".utf8))
            payload.append(message.members)
            if message.timestamp == nil { payload.append(timestamp.bytes) }
        case .fraiseql:
            try writeOpening(envelope: plan.envelope, head: plan.head)
            try writeFraiseQLIdentity()
            payload.append(",\"data\":")
            payload.append(message.entity ?? Array("null".utf8))
            payload.append(",\"changes\":")
            payload.append(message.changes ?? Array("null".utf8))
            if let omitted = message.omittedData {
                payload.append(",\"omitted\":")
                payload.append(JSONText.string(omitted.description))
            }
            writeFraiseQLRest(timestamp: message.timestamp)
        }
        try finish(tail: plan.tail, ordinal: ordinal, kindIndex: plan.kindIndex)
    }

    /// The body's `entity_id` as a JSON string: a number's digits; of null, nothing.
    private mutating func encodeEntityID(_ json: [UInt8]) {
        entityID.removeAll()
        switch json.first {
        case UInt8(ascii: "\""): entityID.append(json)
        case UInt8(ascii: "n"), nil: return
        default:
            entityID.append(UInt8(ascii: "\""))
            entityID.append(json)
            entityID.append(UInt8(ascii: "\""))
        }
    }
}
