import History
import JetStreamPublishing
import Threads

/// Fast batches: what is sent between two moments with nothing to send. Acks are one in hundreds, and the end is acknowledged at once.
extension ChainedPublisher {
    /// So many messages are acknowledged sooner one by one than as a batch, which is begun before it goes on.
    private static var chainedCount: Int { 64 }

    /// Sends the events up to `end`.
    /// - Returns: Whether all were sent.
    func publishFast(through end: UInt64) throws(StreamerError) -> Bool {
        switch machine.flight {
        case .chained, .atomicBatch:
            guard nextIndex < end else { return true }
            let count = Int(end - nextIndex)
            if prevention.namesPrevious, chain.inFlightCount + count <= Self.chainedCount {
                return try publishChained(through: end)
            }
            guard chain.inFlightCount == 0 else { return false }
            // One alone needs none: nothing is behind it that a stray could let through.
            if count == 1 { return try publishChained(through: end) }
            if try publishMember(.start, base: chain.nextToken - 1, ordinal: 1) {
                machine.sent(.fastBatchStarting)
                port.sendBuffered()
            }
            return false
        case .fastBatchStarting, .fastBatchEnding: return nextIndex == end
        case .fastBatch(let base, var count):
            while nextIndex < end, chain.inFlightCount < inFlightLimit {
                guard try publishMember(.append, base: base, ordinal: count + 1) else { return false }
                count += 1
                if count % 256 == 0 {
                    machine.sent(.fastBatch(base: base, count: count))
                    try takeAcks()
                    guard machine.flight == .fastBatch(base: base, count: count), machine.isPublishing else { return false }
                }
            }
            machine.sent(.fastBatch(base: base, count: count))
            // Acks come in runs: where less may be in flight than two of them, none would come.
            guard nextIndex == end || inFlightLimit < 2 * Int(FastBatchMember.ackInterval) else { return false }
            try endFastBatch(base: base, count: count)
            return nextIndex == end
        }
    }

    private func publishMember(
        _ step: FastBatchMember.Step, base: UInt64, ordinal: UInt64
    ) throws(StreamerError) -> Bool {
        do throws(JetStreamError) {
            try window.withEvent(at: nextIndex) { subject, messageID, payload throws(JetStreamError) in
                try port.publish(
                    subject: subject, messageID: messageID, payload: payload, expectedLastSequence: base + ordinal - 1,
                    epoch: epoch, fastBatch: FastBatchMember(base: base, ordinal: ordinal, step: step))
            }
        } catch {
            try publishFailed(error)
            return false
        }
        published(at: port.now)
        return true
    }

    private func endFastBatch(base: UInt64, count: UInt64) throws(StreamerError) {
        do throws(JetStreamError) {
            try window.withEvent(at: nextIndex - 1) { subject, _, _ throws(JetStreamError) in
                try port.endFastBatch(base: base, ordinal: count, subject: subject, epoch: epoch)
            }
        } catch {
            try publishFailed(error)
            return
        }
        machine.sent(.fastBatchEnding)
        port.sendBuffered()
    }
}
