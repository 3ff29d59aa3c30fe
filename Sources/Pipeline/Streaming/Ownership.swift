import Capture
package import History
import JetStreamPublishing
package import WAL

/// The record with a streamer's name in it, put before its first publish: the stream is its own.
package struct Ownership {
    /// For a put while the server already waits for our status.
    private static let timeout = Duration.seconds(2)

    package let record: CheckpointRecord
    package let revision: UInt64

    /// Puts it, by compare-and-set on what recovery read.
    /// - Parameters:
    ///   - owner: Another one for each process.
    ///   - confirmedLSN: Where the slot stands, held.
    ///   - namesBackfill: Whether the configuration names tables that are read at the first start.
    package init(
        of record: CheckpointRecord, revision: UInt64, by owner: String, _ plan: Recovery.Plan, _ facts: Recovery.Facts,
        confirmedLSN: LSN, namesBackfill: Bool = false, over port: some StreamPort
    ) throws(StreamerError) {
        let recordedSequence = record.lastSequence
        var record = record
        record.owner = owner
        record.timeline = facts.timelines.currentTimeline
        record.confirmedLsn = confirmedLSN.description
        record.options = facts.options.text
        // Of a stream that lost all of it nothing is stored, whatever the record says.
        record.lastId = plan.known.storedID?.description ?? (plan.known.storedSequence == 0 ? nil : record.lastId)
        record.lastSequence = plan.known.storedSequence
        record.settledSequence = plan.known.settledSequence
        // Before the first event: what is there at the first start is known to be older.
        if record.isFirstBackfillDue == nil { record.isFirstBackfillDue = namesBackfill && plan.known.storedSequence == 0 }
        // Rows of it may have been in the end that the stream has lost.
        if plan.known.storedSequence < recordedSequence { record.backfill?.beginAnew() }
        do throws(JetStreamError) {
            self.revision = try port.put(
                record.json(), key: facts.streamName, expectedRevision: revision, timeout: Self.timeout)
        } catch {
            if error.isWrongLastSequence { throw .checkpointConflict("the checkpoint record changed while recovering") }
            throw .jetStream(error)
        }
        self.record = record
    }
}
