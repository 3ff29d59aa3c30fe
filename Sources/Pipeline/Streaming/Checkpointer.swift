import Capture
import History
import JetStreamPublishing
import Logging
import Synchronization
import Threads
import WAL

/// Keeps the checkpoint record: one put in flight, by compare-and-set, and before its LSN is handed back for PostgreSQL.
///
/// The publishing thread's own.
final class Checkpointer<Port: StreamPort> {
    private enum State {
        case idle
        /// Put under `token`, and not answered yet; `at`: when it was put, or looked for last.
        case putting(CheckpointRecord, token: UInt64, at: Instant)
    }

    /// The backfill's word in the record that was put last.
    private var putBackfillVersion: UInt64 = 0
    private var putRecord: CheckpointRecord?

    /// So long a record may be read as it was before: a woken old leader learns sooner that it is none.
    private static var staleReadLimit: Duration { .seconds(30) }

    private let configuration: StreamerConfiguration
    private let port: Port
    private let handover: Handover
    private let observations: Observations
    private let failpoints: Failpoints
    private let logger: Logger

    /// As it is stored.
    private(set) var record: CheckpointRecord
    private(set) var revision: UInt64
    private var state = State.idle
    private var putCount: UInt64 = 0
    private var lastPutAt: Instant
    /// Why the record is not taken, as it was told last; nil: it is.
    private var putRefusal: String?
    /// Since when the record is read as it was before.
    private var staleReadSince: Instant?
    private var isPutTroubleTold = false

    init(
        _ record: CheckpointRecord, revision: UInt64, configuration: StreamerConfiguration, handover: Handover, port: Port,
        observations: Observations, failpoints: Failpoints, logger: Logger
    ) {
        self.record = record
        self.revision = revision
        self.configuration = configuration
        self.handover = handover
        self.port = port
        self.observations = observations
        self.failpoints = failpoints
        self.logger = logger
        lastPutAt = port.now
    }

    private var key: String { configuration.stream.name }

    /// Whether a put is under way, or will be once it is due.
    func isDue(_ known: KnownEnd) -> Bool {
        if case .putting = state { return true }
        return isBehind(known)
    }

    /// Whether something is known that the record does not say.
    private func isBehind(_ known: KnownEnd) -> Bool {
        handover.confirmableLSN.load(ordering: .acquiring) > record.confirmedLSN.rawValue
            || ((known.storedSequence != record.lastSequence || known.settledSequence > record.settled) && handover.isAllStored)
            || isBackfillWaiting
    }

    /// Whether the backfill goes on only when the record has its word.
    private var isBackfillWaiting: Bool { handover.backfill.withLock { $0.version } > handover.recordedBackfill.load(ordering: .relaxed) }

    /// Puts the record when it is due: at most one an interval, one in flight, and at once when nothing more will come.
    /// - Parameters:
    ///   - backfilled: What is stored of the run that is under way.
    ///   - isCompared: Nothing is confirmed of a history that has not been compared.
    func keep(_ known: KnownEnd, _ backfilled: BackfillTail?, isCompared: Bool) throws(StreamerError) {
        let now = port.now
        if case .putting(_, _, let at) = state {
            if now.duration(since: at) > configuration.delivery.ackTimeout { try readRecord() }
            return
        }
        guard isBehind(known), isCompared, port.isConnected else { return }
        let isDue = now.duration(since: lastPutAt) >= configuration.delivery.checkpointInterval
        guard isDue || (isBackfillWaiting && putRefusal == nil && !isPutTroubleTold) || (handover.isDraining.load(ordering: .acquiring) && handover.isAllStored) else { return }

        var next = record
        // Read once: what is put is what will be told to PostgreSQL.
        next.confirmedLsn = LSN(handover.confirmableLSN.load(ordering: .acquiring)).description
        next.lastId = known.storedID?.description
        next.lastSequence = known.storedSequence
        next.settledSequence = known.settledSequence
        if let consumers = observations.durableConsumers { next.consumers = consumers }
        // After the position: the keys of rows to be read again are those of all that is decoded by now.
        let word = handover.backfill.withLock { $0 }
        next.backfill = word.progress
        if let backfilled, backfilled.run == word.progress?.run, word.progress?.isForLiveStream == true { next.backfill?.stored = backfilled }
        next.finishedBackfills = word.finished.isEmpty ? nil : word.finished
        next.backfilledTables = word.covered
        next.isFirstBackfillDue = word.isFirstDue
        putBackfillVersion = word.version
        putCount += 1
        failpoints.reached(.beforeRecord)
        let token = AckMailbox.controlBit | putCount
        lastPutAt = now
        do throws(JetStreamError) {
            do throws(JetStreamError) {
                try port.startPut(next.json(), key: key, expectedRevision: revision, token: token)
            } catch {
                guard case .payloadTooLarge = error, next.backfill?.rereads != nil else { throw error }
                // What is live is not held up by what a backfill would remember: its table begins anew after a restart.
                next.backfill?.rereads = nil
                next.backfill?.isStale = true
                try port.startPut(next.json(), key: key, expectedRevision: revision, token: token)
            }
        } catch {
            return tellPutTrouble("cannot store the checkpoint record yet", error)
        }
        putRecord = next
        state = .putting(next, token: token, at: now)
    }

    /// Takes the answer to a put.
    func answered(_ outcome: PublishOutcome) throws(StreamerError) {
        guard case .putting(let put, outcome.token, _) = state else { return }
        switch outcome {
        case .controlStored(_, let sequence):
            putRefusal = nil
            recorded(put, revision: sequence)
        // Nobody listens where the bucket has no leader now, and where it was deleted: reading tells the two apart.
        case .refused, .duplicate, .otherSequence, .otherStream, .malformed, .noResponders: try readRecord(after: outcome)
        // No put is one of a batch.
        case .fastBatchStarted, .fastBatchEnded: break
        }
    }

    /// The answer to a put may have been lost with the connection: what is there tells.
    func settleAfterTrouble() throws(StreamerError) {
        if case .putting = state { try readRecord() }
    }

    /// The stream is ours as long as the record says so.
    func requireOwnership() throws(StreamerError) { try readRecord() }

    private func recorded(_ record: CheckpointRecord, revision: UInt64) {
        self.record = record
        self.revision = revision
        state = .idle
        failpoints.reached(.afterRecord)
        isPutTroubleTold = false
        observations.recorded(at: port.now)
        if record.backfill != nil || observations.texts.withLock({ $0.backfill != nil }) {
            let backfill = StreamerStatus.Backfill(record)
            observations.texts.withLock { $0.backfill = backfill }
        }
        logger.trace(
            "checkpoint record stored", metadata: ["confirmed_lsn": "\(record.confirmedLsn)", "last_sequence": .stringConvertible(record.lastSequence)])
        if record.hasSameBackfills(as: putRecord) { handover.recordedBackfill.store(putBackfillVersion, ordering: .releasing) }
        handover.recordedSequence.store(record.lastSequence, ordering: .releasing)
        handover.recordedLSN.store(record.confirmedLSN.rawValue, ordering: .releasing)
        handover.wakeSource()
    }

    /// The answer may still come, and the record is read again if it does not.
    private func lookLater() {
        guard case .putting(let put, let token, _) = state else { return }
        state = .putting(put, token: token, at: port.now)
    }

    /// Reads the record back: only an owner that changed is another writer, anything else was a put of ours whose answer was lost.
    private func readRecord(after refusal: PublishOutcome? = nil) throws(StreamerError) {
        let found: BucketEntry
        do throws(JetStreamError) {
            found = try port.reader.bucketGet(CheckpointRecord.bucket, key: key)
        } catch {
            guard FailurePolicy.isWorthAsking(again: error) else { throw .jetStream(error) }
            tellPutTrouble("cannot read the checkpoint record yet", error)
            lookLater()
            return
        }
        guard case .value(let json, let revision) = found, let there = try? CheckpointRecord(json: json) else {
            // Recovery tells whether it is gone, or a woken old leader answered.
            throw .streamMoved("the checkpoint record \(key) is not in the bucket \(CheckpointRecord.bucket) any more")
        }
        guard revision >= self.revision else {
            // A woken old leader's answer; or the revision that we know of was somebody else's word, and is never reached.
            let since = staleReadSince ?? port.now
            staleReadSince = since
            guard port.now.duration(since: since) < Self.staleReadLimit else {
                throw .streamMoved("the checkpoint record \(key) has revision \(revision), but \(self.revision) was there")
            }
            logger.info("an old version of the checkpoint record was read: reading the record again", metadata: ["revision": .stringConvertible(revision)])
            lookLater()
            return
        }
        staleReadSince = nil
        guard there.owner == record.owner else {
            throw .stop(
                .otherWriter,
                what: "another streamer (owner \(there.owner)) has taken over stream \(key) and slot \(there.slot) at \(there.confirmedLsn)",
                remedy: LostHistory.remedyForOtherWriter)
        }
        // Only its owner was asked for.
        guard case .putting(let put, _, _) = state else { return }
        guard isOurWord(there, put) else {
            throw .streamMoved("the checkpoint record \(key) has this streamer's name, but this streamer did not store that record")
        }
        if revision == self.revision, let refusal {
            putRefused(refusal)
        } else {
            putRefusal = nil
        }
        recorded(there, revision: revision)
    }

    /// Whether a record that has our name can be one of ours: what is in it is told to PostgreSQL, and put again. An earlier put may have arrived late.
    private func isOurWord(_ there: CheckpointRecord, _ put: CheckpointRecord) -> Bool {
        var same = there
        same.confirmedLsn = put.confirmedLsn
        same.lastId = put.lastId
        same.lastSequence = put.lastSequence
        same.settledSequence = put.settledSequence
        same.backfill = put.backfill
        same.finishedBackfills = put.finishedBackfills
        same.backfilledTables = put.backfilledTables
        same.isFirstBackfillDue = put.isFirstBackfillDue
        let stored = LSN(handover.confirmableLSN.load(ordering: .acquiring))
        return same == put && there.confirmedLSN <= max(stored, record.confirmedLSN)
    }

    /// Told once until a record is stored.
    private func tellPutTrouble(_ message: Logger.Message, _ error: JetStreamError) {
        logger.log(level: isPutTroubleTold ? .debug : .info, message, metadata: ["error": "\(error)"])
        isPutTroubleTold = true
    }

    /// The put is tried again when the next is due; what keeps the record back is told when it is another than before.
    private func putRefused(_ outcome: PublishOutcome) {
        let why =
            if case .refused(_, let errCode, let code, _) = outcome {
                "JetStream refused the record with \(errCode) (\(code))"
            } else {
                "the record was not stored"
            }
        guard putRefusal != why else { return }
        putRefusal = why
        observations.failed(
            StopReason.unexpected.rawValue, "the checkpoint record of stream \(key) cannot be stored: \(why)")
        logger.warning(
            "the checkpoint record cannot be stored: PostgreSQL is told of no further changes meanwhile",
            metadata: [
                "error": "\(why)", "bucket": "\(CheckpointRecord.bucket)", "key": "\(key)",
                "hint": "Raise the limits of the bucket or of the account",
            ])
    }
}
