import Capture
import History
import JetStreamPublishing
import Logging
import Synchronization
import Threads
import WAL

/// Whole transactions as atomic batches: a consumer sees all of one, or nothing.
extension ChainedPublisher {
    /// A batch's part of what may be retained: the rest has room while it is in flight.
    static func batchByteLimit(retained byteLimit: Int) -> Int { byteLimit / 2 }

    /// Sends what may be sent of the events up to `appended`.
    func publishTransactions(_ appended: UInt64) throws(StreamerError) {
        while nextIndex < appended, machine.isPublishing {
            let plan = TransactionPlan.next(
                nextIndex..<appended, isInside: isInsideTransaction, inFlight: inFlight,
                limits: TransactionPlan.Limits(
                    eventCount: min(batchEventLimit, configuration.delivery.inFlightMessages),
                    byteCount: Self.batchByteLimit(retained: window.byteLimit)),
                isFull: window.isFull
            ) { TransactionPlan.Event(isLast: window.header(at: $0).isLast, byteCount: window.byteCount(at: $0)) }
            setHeldBack(plan == .hold ? appended - nextIndex : 0)
            switch plan {
            case .wait, .hold: return
            case .chained(let end):
                if machine.flight == .atomicBatch { machine.sent(.chained) }
                guard try publishEach(through: end) else { return }
            case .batch(let end): try publishBatch(through: end)
            }
        }
    }

    private var inFlight: TransactionPlan.InFlight {
        if chain.inFlightCount == 0 { return .nothing }
        return machine.flight == .atomicBatch ? .batch : .chained
    }

    /// Whether something of the next event's transaction was sent, now or before a resynchronisation or restart.
    private var isInsideTransaction: Bool {
        if chain.inFlightCount > 0 { return !window.header(at: nextIndex - 1).isLast }
        let next = window.header(at: nextIndex).position
        // A message that belongs to no transaction has ordinal 0, and may share the LSN of the next one.
        guard let stored = known.storedID?.position, stored.ordinal > 0 else { return false }
        return stored.commitLSN == next.commitLSN
    }

    /// What is held back is not waited for when the streamer stops: it was never sent, and is read again.
    private func setHeldBack(_ count: UInt64) {
        guard handover.heldBackCount.load(ordering: .relaxed) != count else { return }
        handover.heldBackCount.store(count, ordering: .releasing)
        if handover.isDraining.load(ordering: .acquiring) { handover.wakeSource() }
    }

    private func publishBatch(through end: UInt64) throws(StreamerError) {
        batchNumber &+= 1
        machine.sent(.atomicBatch)
        batchEventCount = Int(end - nextIndex)
        let expected = chain.nextToken - 1
        let token = expected + UInt64(batchEventCount)
        let now = port.now
        for ordinal in 1...batchEventCount {
            let member = BatchMember(batch: batchNumber, ordinal: ordinal, isLast: ordinal == batchEventCount)
            do throws(JetStreamError) {
                try window.withEvent(at: nextIndex) { subject, messageID, payload throws(JetStreamError) in
                    try port.publish(
                        subject: subject, messageID: messageID, payload: payload, expectedLastSequence: expected,
                        token: token, epoch: epoch, batch: member)
                }
            } catch {
                try publishFailed(error)
                return
            }
            published(at: now)
        }
        // Nothing comes after it until it is answered.
        port.sendBuffered()
    }

    /// A batch was refused for what it is: the next one is another.
    func learnFromRefusal(errCode: Int) {
        switch errCode {
        case JetStreamErrorCode.batchTooLarge where machine.flight == .atomicBatch && batchEventLimit > 1:
            batchEventLimit = max(1, min(batchEventCount, batchEventLimit) / 2)
            logger.notice(
                "nats-server takes only smaller batches", metadata: ["events": .stringConvertible(batchEventLimit)])
        case JetStreamErrorCode.batchesDisabled where isAtomic:
            isAtomic = false
            setHeldBack(0)
            logger.warning(
                "the stream no longer takes atomic batches: transactions go out as chained messages",
                metadata: ["stream": "\(configuration.stream.name)"])
        default: break
        }
    }
}
