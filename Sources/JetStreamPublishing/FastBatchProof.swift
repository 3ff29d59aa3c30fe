/// What the answers to one fast batch prove: a machine without effects.
///
/// An ack of `n` proves what is before `n`: `n` itself may have been skipped as a duplicate. Behind a refusal nothing is believed but the last word, and that only
/// if its sequence is the one that so many messages lead to.
struct FastBatchProof {
    /// What an answer comes to.
    enum Action: Equatable {
        /// It says nothing new.
        case none
        /// Messages are proven stored, by their ordinals, and the batch is over if it ends with one.
        case stored(ClosedRange<UInt64>?, endsAt: UInt64?)
        /// The batch has begun, or something is wrong.
        case report(PublishOutcome)
    }

    /// The chain that it belongs to.
    let epoch: UInt32
    /// The stream's last sequence before the batch.
    let base: UInt64
    private var isStarted = false
    private var isOver = false
    /// The last ordinal that is proven stored.
    private var proven: UInt64 = 0
    /// No ordinal beyond it can be stored.
    private var limit = UInt64.max

    /// A batch of which nothing was heard.
    init(epoch: UInt32, base: UInt64) {
        self.epoch = epoch
        self.base = base
    }

    /// Takes an answer to the message `ordinal`. `isOfStream`: for a last word, whether it is our stream's.
    mutating func received(_ answer: FastBatchAnswer, to ordinal: UInt64, isOfStream: Bool) -> Action {
        switch answer {
        case .stored(let last, let ackInterval):
            guard !isOver else { return .none }
            if !isStarted {
                isStarted = true
                if last == 0 { return .report(.fastBatchStarted(base: base, ackInterval: Int(clamping: ackInterval))) }
            }
            guard last > 0 else { return .none }
            return stored(min(last - 1, limit), endsAt: nil)
        case .gap(let missing):
            // Informational, and told at once: what was sent before may yet be acknowledged.
            return refused(.refused(token: base &+ missing, errCode: 0, code: 0, lastSequence: nil), at: missing)
        case .refused(let refused, let refusal):
            return self.refused(Self.outcome(base &+ refused, refusal), at: refused)
        case .last(let ack):
            if let refusal = ack.refusal { return refused(Self.outcome(base &+ ordinal, refusal), at: ordinal) }
            return ended(ack, isOfStream: isOfStream)
        }
    }

    /// Takes an answer that needed no reading.
    mutating func received(_ outcome: PublishOutcome, to ordinal: UInt64) -> Action { refused(outcome, at: ordinal) }

    private mutating func ended(_ ack: PubAck, isOfStream: Bool) -> Action {
        guard !isOver else { return .none }
        isOver = true
        let last = base &+ ack.batchCount
        guard isOfStream else { return .report(.otherStream(token: last)) }
        guard !ack.isDuplicate else { return .report(.duplicate(token: last, sequence: ack.sequence)) }
        guard ack.sequence == last, ack.batchCount <= limit else {
            return .report(.otherSequence(token: last, sequence: ack.sequence))
        }
        return stored(ack.batchCount, endsAt: ack.batchCount)
    }

    private mutating func stored(_ last: UInt64, endsAt end: UInt64?) -> Action {
        // Half of all sequences are control tokens: no batch leads there, whoever says so.
        guard base < AckMailbox.controlBit, last < AckMailbox.controlBit - base else {
            return .report(.malformed(token: base &+ last))
        }
        guard last > proven else { return end == nil ? .none : .stored(nil, endsAt: end) }
        defer { proven = last }
        return .stored(proven + 1...last, endsAt: end)
    }

    private mutating func refused(_ outcome: PublishOutcome, at ordinal: UInt64) -> Action {
        limit = min(limit, ordinal &- 1)
        return .report(outcome)
    }

    private static func outcome(_ token: UInt64, _ refusal: PubAck.Refusal) -> PublishOutcome {
        .refused(token: token, errCode: refusal.errCode, code: refusal.code, lastSequence: refusal.lastSequence)
    }
}
