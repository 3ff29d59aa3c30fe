import CoreMetrics
import History
import JetStreamPublishing
import Logging
import PostgresReplication
import Synchronization
import WAL

/// The repair of a stream that lost an end of which PostgreSQL was told already: a session that reads a copy of the anchor slot, up to where the live slot goes on.
extension Streamer {
    /// Makes the copy, which belongs to the walsender that streams it, and goes with it.
    ///
    /// Its name is a lock: nobody holds the live slot meanwhile, and another streamer's repair does not begin beside this one.
    /// - Returns: Its name.
    /// - Throws: `.slotActive` where another streamer repairs.
    func begin(
        _ repair: Recovery.Repair, of facts: Recovery.Facts, over replication: borrowing ReplicationConnection
    ) throws(StreamerError) -> String {
        let copy = configuration.source.slot + "_repair"
        observations.isRepairing.store(true, ordering: .relaxed)
        logger.warning(
            "the stream lost its end: the streamer repairs the stream from the anchor slot",
            metadata: [
                "stream": "\(configuration.stream.name)", "anchor": "\(repair.slot)", "anchor_lsn": "\(repair.anchorLSN)",
                "until_lsn": "\(repair.endLSN)", "stream_last_sequence": .stringConvertible(facts.stream?.lastSequence ?? 0),
                "record_last_sequence": .stringConvertible(facts.record?.lastSequence ?? 0),
            ])
        let position: LSN
        do throws(PostgresError) {
            position = try replication.copyLogicalSlot(from: repair.slot, to: copy, temporary: true)
        } catch {
            throw error.isDuplicateObject ? .slotActive(nil) : .postgres(error)
        }
        guard position == repair.anchorLSN else {
            throw .checkpointConflict("slot \(repair.slot) was moved while recovering")
        }
        return copy
    }

    /// Tells and counts it.
    func told(repaired repair: Recovery.Repair) {
        observations.meters.tailRepairs.increment()
        logger.notice(
            "the stream's end is repaired: every event that was missing is stored again",
            metadata: ["stream": "\(configuration.stream.name)", "until_lsn": "\(repair.endLSN)"])
    }
}
