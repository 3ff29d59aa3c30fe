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
        known.storedID = messageID(at: storedCount - 1)
        let areTimesWanted = handover.areLiveTimesWanted
        var liveTimes: [Double] = []
        observations.storedMemory.withLock { memory in
            for index in first..<storedCount {
                let header = window.header(at: index)
                tally.count(kind: Int(header.kindIndex))
                if header.order.isOfBackfill {
                    takeRead(at: index)
                    continue
                }
                // A clock may say anything: no difference of integers.
                let difference = Double(now.rawValue) - Double(header.commitTimestamp.rawValue)
                if areTimesWanted, header.isLast { liveTimes.append(difference) }
                let microseconds = max(0, difference)
                observations.meters.duration.record(microseconds / 1_000_000)
                memory.times.count(microseconds: microseconds)
            }
            if let id = known.storedID {
                let header = window.header(at: storedCount - 1)
                memory.latest.append(
                    StoredMemory.Event(
                        kind: Int(header.kindIndex), id: id, sequence: known.storedSequence, committedAt: header.commitTimestamp))
            }
        }
        if !liveTimes.isEmpty { handover.took(liveTimes) }
        lostReads.removeAll()
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

    /// Counts a message of a backfill that is stored.
    private func takeRead(at index: UInt64) {
        guard !lostReads.contains(index) else { return handover.hasLostRead.store(true, ordering: .releasing) }
        window.withEvent(at: index) { subject, messageID, _ in
            let id = messageID.withUnsafeBufferPointer { MessageID(utf8: $0) }
            guard let place = id?.backfillPlace else { return }
            if backfilled?.run ?? 0 < place.run { backfilled = BackfillTail(run: place.run) }
            backfilled?.take(place, id: messageID, isMarker: isBackfillMarker(subject))
        }
    }

    /// Of an event that is retained.
    func messageID(at index: UInt64) -> MessageID? {
        var id: MessageID?
        window.withEvent(at: index) { _, messageID, _ in id = messageID.withUnsafeBufferPointer { MessageID(utf8: $0) } }
        return id
    }

    private func isBackfillMarker(_ subject: Span<UInt8>) -> Bool {
        subject.withUnsafeBufferPointer { $0.suffix(BackfillMarker.subjectSuffix.utf8.count).elementsEqual(BackfillMarker.subjectSuffix.utf8) }
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
