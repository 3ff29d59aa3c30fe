import JetStreamPublishing

/// What JetStream's answers come to that are no acks. A value: it is told what was answered.
struct RefusalMemory {
    /// Answers in this epoch, other than that something is stored.
    private(set) var count = 0
    /// The last that says more than that the message before was refused; nil: something was stored since.
    private(set) var last: AckBatch.Refusal?
    /// An id that was refused is remembered as if it were stored.
    private(set) var isIDStaged = false
    /// Since something was last stored.
    private var stepDownCount = 0
    /// A message was refused for the id that it expected before it; and without anybody's fault, so that it is expected no more.
    private var isMessageIDRefused = false
    private(set) var isMessageIDDistrusted = false

    /// Takes in an answer to a message.
    mutating func answered(_ outcome: PublishOutcome) {
        switch outcome {
        case .fastBatchStarted, .fastBatchEnded, .controlStored: return
        case .refused(_, let errCode, _, _):
            // A batch whose id is known: as if staged, and where it is, a new leader forgets it.
            let isStaged = errCode == JetStreamErrorCode.duplicateInProcess || errCode == JetStreamErrorCode.batchDuplicate
            isIDStaged = isIDStaged || isStaged
            isMessageIDRefused = isMessageIDRefused || errCode == JetStreamErrorCode.wrongLastMessageID
        case .duplicate(let token, let sequence): isIDStaged = isIDStaged || sequence != token
        case .otherSequence, .otherStream, .noResponders, .malformed: break
        }
        count += 1
    }

    /// Takes in what one drain of the mailbox gave beside the answers themselves.
    mutating func drained(_ refusal: AckBatch.Refusal?, droppedCount: Int) {
        if let refusal { last = refusal }
        count += droppedCount
    }

    /// Answers to what was sent before no longer count.
    mutating func epochBegan() { count = 0 }

    /// The stream was read.
    mutating func wasRead(hasStrays: Bool) {
        // Refused for the id though nobody else wrote: JetStream does not know it (after a restart with the last message older than its window).
        if isMessageIDRefused, !hasStrays { isMessageIDDistrusted = true }
        isMessageIDRefused = false
    }

    /// Something was stored: what was refused before no longer counts.
    mutating func stored() {
        last = nil
        isIDStaged = false
        stepDownCount = 0
    }

    /// Whether a new leader could help that does not know the id: once each replica has led and refused it no other is left.
    mutating func takeStepDown(replicaCount: Int) -> Bool {
        guard isIDStaged, replicaCount > 1, stepDownCount < replicaCount else { return false }
        isIDStaged = false
        stepDownCount += 1
        return true
    }
}
