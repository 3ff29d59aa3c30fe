/// What the server answers to a fast batch, read from its JSON without allocating.
///
/// Shape: `{"type":"ack","seq":…,"msgs":…}`, `{"type":"gap","last_seq":…,"seq":…}`, `{"type":"err","seq":…,"error":{…}}`, where the numbers count within the
/// batch; without `type` a ``PubAck``, the batch's last word. Source: nats-server, `BatchFlowAck`, `BatchFlowGap`, `BatchFlowErr`.
enum FastBatchAnswer {
    /// Messages up to `ordinal` are stored, or were skipped as duplicates; the next ack comes `ackInterval` messages later.
    case stored(ordinal: UInt64, ackInterval: UInt64)
    /// `missing` and perhaps more did not come; what came instead is not stored.
    case gap(missing: UInt64)
    /// The message was refused.
    case refused(ordinal: UInt64, PubAck.Refusal)
    /// The batch is over, or its first message was refused.
    case last(PubAck)

    /// What is said of a message that was refused.
    var refusal: PubAck.Refusal? {
        switch self {
        case .refused(_, let refusal): refusal
        case .last(let ack): ack.refusal
        case .stored, .gap: nil
        }
    }

    /// Reads `body`; nil if it is none of these.
    init?(_ body: UnsafeBufferPointer<UInt8>) {
        var scanner = JSONScanner(body)
        var type: Range<Int>?
        var sequence: UInt64?
        var lastSequence: UInt64?
        var messageCount: UInt64 = 0
        var refusal: PubAck.Refusal?
        guard scanner.consume(UInt8(ascii: "{")) else { return nil }
        repeat {
            guard let key = scanner.string(), scanner.consume(UInt8(ascii: ":")) else { return nil }
            if scanner.equals(key, "type") {
                guard let text = scanner.string() else { return nil }
                type = text
            } else if scanner.equals(key, "seq") {
                guard let number = scanner.unsigned() else { return nil }
                sequence = number
            } else if scanner.equals(key, "last_seq") {
                guard let number = scanner.unsigned() else { return nil }
                lastSequence = number
            } else if scanner.equals(key, "msgs") {
                guard let number = scanner.unsigned() else { return nil }
                messageCount = number
            } else if scanner.equals(key, "error"), scanner.isAtObject {
                guard let error = PubAck.refusal(&scanner) else { return nil }
                refusal = error
            } else {
                guard scanner.skipValue() else { return nil }
            }
        } while scanner.consume(UInt8(ascii: ","))
        guard scanner.consume(UInt8(ascii: "}")), scanner.isAtEnd else { return nil }
        guard let type else {
            guard let ack = PubAck(body) else { return nil }
            self = .last(ack)
            return
        }
        if scanner.equals(type, "ack"), let sequence {
            self = .stored(ordinal: sequence, ackInterval: messageCount)
        } else if scanner.equals(type, "gap"), let lastSequence {
            self = .gap(missing: lastSequence)
        } else if scanner.equals(type, "err"), let sequence {
            self = .refused(ordinal: sequence, refusal ?? PubAck.Refusal())
        } else {
            return nil
        }
    }
}
