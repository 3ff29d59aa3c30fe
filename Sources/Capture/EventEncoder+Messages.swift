/// The events of logical messages.
extension EventEncoder {
    /// What of a logical message's event its entity and operation decide.
    struct MessagePlan {
        var subject: [UInt8]
        var opening: EventOpening
        var tail: [UInt8]
        /// Index into `TransactionAssembler.eventKinds`.
        var kindIndex: Int32
    }

    /// Encodes a logical message and leaves it open.
    mutating func openMessage(
        _ message: LogicalMessageEvent, plan: MessagePlan, ordinal: UInt64, sentByteCount: Int
    ) throws(EncodingFailure) {
        begin(ordinal: ordinal, sentByteCount: sentByteCount)
        subject.removeAll()
        subject.append(plan.subject)
        try checkSubject()
        encodeEntityID(message.entityID)
        try layout.writeMessage(message, plan.opening, to: &self)
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
