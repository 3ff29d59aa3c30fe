import Capture
import CoreMetrics
import History
import Logging
import Synchronization
import WAL

/// What is known to be stored is let go of, and counted.
extension ChainedPublisher {
    /// The oldest `count` events in flight are stored.
    func release(count: Int) {
        guard count > 0 else { return }
        let first = window.releasedCount.load(ordering: .relaxed)
        known.storedSequence = chain.firstInFlightToken - 1
        known.settledSequence = known.storedSequence
        releaseWindow(through: first + UInt64(count))
        // What strays took of the messages in flight comes back slowly.
        inFlightLimit = min(configuration.delivery.inFlightMessages, inFlightLimit + max(1, count / 8))
        if machine.isFruitless { setConnected(true) }
        if refusals.last != nil { forgetRefusal() }
        refusals.stored()
        machine.stored()
    }

    /// Lets go of what is stored, and counts it.
    func releaseWindow(through storedCount: UInt64) {
        let first = window.releasedCount.load(ordering: .relaxed)
        guard storedCount > first else { return }
        let now = port.wallClock
        window.withEvent(at: storedCount - 1) { _, messageID, _ in
            known.storedID = MessageID(messageID.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) })
        }
        observations.storedMemory.withLock { memory in
            for index in first..<storedCount {
                let header = window.header(at: index)
                // A clock may say anything: no difference of integers.
                let microseconds = max(0, Double(now.rawValue) - Double(header.commitTimestamp.rawValue))
                observations.meters.duration.record(microseconds / 1_000_000)
                memory.times.count(microseconds: microseconds)
                tally.count(kind: Int(header.kindIndex))
            }
            if let id = known.storedID {
                let header = window.header(at: storedCount - 1)
                memory.latest.append(
                    StoredMemory.Event(
                        kind: Int(header.kindIndex), id: id, sequence: known.storedSequence, committedAt: header.commitTimestamp))
            }
        }
        window.release(through: storedCount)
        tally.handOn(to: observations)
        let count = storedCount - first
        if isTracing {
            logger.trace("events stored", metadata: ["count": .stringConvertible(count), "last_sequence": .stringConvertible(known.storedSequence)])
        }
        observations.meters.processed.increment(by: Int64(count))
        observations.eventCount.add(count, ordering: .relaxed)
        handover.wakeSource()
    }

    /// Tells how much waits to be stored, and since when.
    func observe() {
        observations.inFlightCount.store(chain.inFlightCount, ordering: .relaxed)
        observations.lastSequence.store(known.settledSequence, ordering: .relaxed)
        let first = window.releasedCount.load(ordering: .relaxed)
        let isEmpty = window.appendedCount.load(ordering: .acquiring) == first
        observations.oldestCommit.store(
            isEmpty ? 0 : window.header(at: first).commitTimestamp.unixMicroseconds, ordering: .relaxed)
    }
}
