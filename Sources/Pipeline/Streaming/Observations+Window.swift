import CoreMetrics
import History
import PostgresReplication
import Synchronization
import Threads
import WAL

/// The anchor slot as it was seen last.
struct WindowSight: Sendable {
    var anchor: SlotState
    /// Since when everything is within reach; nil: not known.
    var reach: (at: Instant, time: PostgresTimestamp)?

    /// How far back it reaches; nil: not known.
    func seconds(at now: Instant) -> Double? { reach.map { now.duration(since: $0.at).seconds } }

    /// What `status` tells of it.
    var status: StreamerStatus.Window {
        StreamerStatus.Window(
            slot: anchor.name, fromLsn: anchor.confirmedFlushLSN?.description, fromTime: reach?.time.description,
            bytes: anchor.retainedByteCount)
    }
}

/// What is observed of the replay window.
extension Observations {
    /// A session of this streamer has the live slot, and nothing but what the live slot sends is missing.
    var keepsWindow: Bool { !isRepairing.load(ordering: .relaxed) && texts.withLock { $0.isSlotHeld } }

    /// A session that repaired the stream is over.
    func repaired() {
        isRepairing.store(false, ordering: .relaxed)
        texts.withLock { $0.isSlotHeld = false }
    }

    /// PostgreSQL was asked; nil: there is no anchor, or this streamer does not keep it.
    func sawAnchor(_ anchor: SlotState?, reach: (at: Instant, time: PostgresTimestamp)?) {
        texts.withLock { $0.window = anchor.map { WindowSight(anchor: $0, reach: reach) } }
    }

    /// PostgreSQL read WAL for so long to move it.
    func movedAnchor(in time: Duration) {
        meters.anchorMoves.increment()
        meters.anchorSeconds.increment(by: time.seconds)
    }
}
