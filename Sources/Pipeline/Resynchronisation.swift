import Capture
import WAL

/// What the stream's end means for the retained window. Pure: the same answer for the same facts.
enum Resynchronisation: Equatable {
    /// Everything up to `storedCount` (counted as the window counts) is stored; send the rest after `lastSequence`.
    case resume(storedCount: UInt64, lastSequence: UInt64, storedID: MessageID?)
    /// As `resume`, with everything retained stored and more: a predecessor's late publishes. Nothing up to `storedID`'s position may be published any more, of what is retained now or comes later.
    case skip(storedCount: UInt64, lastSequence: UInt64, storedID: MessageID)
    /// What was stored is not there: recovery from the start decides.
    case moved(String)
    case foreign(subject: String, sequence: UInt64)

    /// What is known before the stream is read.
    struct Known: Equatable {
        /// The sequence of the last event known to be stored.
        var storedSequence: UInt64
        var storedID: MessageID?
        var created: String
    }

    /// - Parameters:
    ///   - tail: The stream's end; nil if the stream is not there.
    ///   - timelines: The server's history: what was published from another one is no progress.
    ///   - retained: Counts of the window: released and appended.
    ///   - position: The position of a retained event by its count.
    static func decide(
        tail: StreamTail?, known: Known, identity: SourceIdentity, timelines: TimelineHistory,
        retained: Range<UInt64>, position: (UInt64) -> Position
    ) -> Resynchronisation {
        guard let tail else { return .moved("the stream is not there any more") }
        guard tail.created == known.created else {
            return .moved("the stream was created anew at \(tail.created) (it was of \(known.created))")
        }
        guard tail.lastSequence >= known.storedSequence else {
            return .moved(
                "the stream ends at sequence \(tail.lastSequence), but \(known.storedSequence) was acknowledged")
        }
        switch tail.message {
        case .never, .gone:
            guard tail.lastSequence == known.storedSequence else {
                return .moved("the message at the stream's last sequence \(tail.lastSequence) is gone and nobody knows what it was")
            }
            return .resume(storedCount: retained.lowerBound, lastSequence: tail.lastSequence, storedID: known.storedID)
        case .foreign(let subject):
            return .foreign(subject: subject, sequence: tail.lastSequence)
        case .event(let id, _):
            guard id.isOf(identity) else { return .foreign(subject: "message id \(id)", sequence: tail.lastSequence) }
            if let stored = known.storedID?.position, id.position < stored {
                return .moved("the stream ends with \(id.position), but \(stored) was acknowledged")
            }
            // A zombie that reads from the primary before the promotion.
            guard timelines.timeline(containing: id.position.commitLSN) == id.timeline else {
                return .moved("the stream ends with \(id), which is not of the server's history")
            }
            // The newest position that we have ever handed on: of the window, or if it is empty of what is stored.
            let newest = retained.isEmpty ? known.storedID?.position : position(retained.upperBound - 1)
            guard let newest, id.position <= newest else {
                return .skip(storedCount: retained.upperBound, lastSequence: tail.lastSequence, storedID: id)
            }
            let storedCount = partition(retained) { position($0) <= id.position }
            return .resume(storedCount: storedCount, lastSequence: tail.lastSequence, storedID: id)
        }
    }

    /// The first count of `range` for which `isStored` does not hold; it holds for all before it.
    private static func partition(_ range: Range<UInt64>, _ isStored: (UInt64) -> Bool) -> UInt64 {
        var low = range.lowerBound
        var high = range.upperBound
        while low < high {
            let middle = low + (high - low) / 2
            if isStored(middle) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
