import Capture
import JetStreamPublishing
import Logging
import Synchronization
import Threads
import WAL

extension ChainedPublisher {
    private var key: String { configuration.stream.name }

    /// So long a record may be read as it was before: a woken old leader learns sooner that it is none.
    private static var staleReadLimit: Duration { .seconds(30) }

    /// Whether something is known that the record does not say.
    var isRecordBehind: Bool {
        handover.confirmableLSN.load(ordering: .acquiring) > record.confirmedLSN.rawValue
            || ((known.storedSequence != record.lastSequence || known.settledSequence > record.settled) && handover.isAllStored)
    }

    /// Puts the record when it is due: at most one an interval, one in flight, and at once when nothing more will come.
    func keepCheckpoint() throws(StreamerError) {
        let now = port.now
        if let put = putInFlight {
            if now.duration(since: put.at) > configuration.delivery.ackTimeout { try readRecord() }
            return
        }
        // Nothing is confirmed of a history that has not been compared.
        guard isRecordBehind, comparison == nil, port.isConnected else { return }
        let isDue = now.duration(since: lastPutAt) >= configuration.delivery.checkpointInterval
        guard isDue || (handover.isDraining.load(ordering: .acquiring) && handover.isAllStored) else { return }

        var next = record
        // Read once: what is put is what will be told to PostgreSQL.
        next.confirmedLsn = LSN(handover.confirmableLSN.load(ordering: .acquiring)).description
        next.lastId = known.storedID?.description
        next.lastSequence = known.storedSequence
        next.settledSequence = known.settledSequence
        putCount += 1
        failpoints.reached(.beforeRecord)
        let token = AckMailbox.controlBit | putCount
        do throws(JetStreamError) {
            try port.startPut(next.json(), key: key, expectedRevision: revision, token: token)
        } catch {
            tellPutTrouble("cannot store the checkpoint record yet", error)
            lastPutAt = now
            return
        }
        putInFlight = (token, next, now)
        lastPutAt = now
    }

    /// Takes the answer to a put.
    func settlePut(_ outcome: PublishOutcome) throws(StreamerError) {
        guard let put = putInFlight, put.token == outcome.token else { return }
        switch outcome {
        case .controlStored(_, let sequence):
            putRefusal = nil
            recorded(put.record, revision: sequence)
        // Nobody listens where the bucket has no leader now, and where it was deleted: reading tells the two apart.
        case .refused, .duplicate, .otherSequence, .otherStream, .malformed, .noResponders: try readRecord(after: outcome)
        // No put is one of a batch.
        case .fastBatchStarted, .fastBatchEnded: break
        }
    }

    /// The answer to a put may have been lost with the connection: what is there tells.
    func settlePutAfterTrouble() throws(StreamerError) {
        if putInFlight != nil { try readRecord() }
    }

    /// The stream is ours as long as the record says so.
    func requireOwnership() throws(StreamerError) { try readRecord() }

    private func recorded(_ record: CheckpointRecord, revision: UInt64) {
        self.record = record
        self.revision = revision
        putInFlight = nil
        failpoints.reached(.afterRecord)
        isPutTroubleTold = false
        if isTracing {
            logger.trace(
                "checkpoint record stored", metadata: ["confirmed_lsn": "\(record.confirmedLsn)", "last_sequence": .stringConvertible(record.lastSequence)])
        }
        handover.recordedSequence.store(record.lastSequence, ordering: .releasing)
        handover.recordedLSN.store(record.confirmedLSN.rawValue, ordering: .releasing)
        handover.wakeSource()
    }

    /// Reads the record back: only an owner that changed is another writer, anything else was a put of ours whose answer was lost.
    private func readRecord(after refusal: PublishOutcome? = nil) throws(StreamerError) {
        let found: BucketEntry
        do throws(JetStreamError) {
            found = try port.reader.bucketGet(StreamerConfiguration.bucket, key: key)
        } catch {
            guard FailurePolicy.isWorthAsking(again: error) else { throw .jetStream(error) }
            tellPutTrouble("cannot read the checkpoint record yet", error)
            putInFlight?.at = port.now
            return
        }
        guard case .value(let json, let revision) = found, let there = try? CheckpointRecord(json: json) else {
            // Recovery tells whether it is gone, or a woken old leader answered.
            throw .streamMoved("the checkpoint record \(key) is not in the bucket \(StreamerConfiguration.bucket) any more")
        }
        guard revision >= self.revision else {
            // A woken old leader's answer; or the revision that we know of was somebody else's word, and is never reached.
            let since = staleReadSince ?? port.now
            staleReadSince = since
            guard port.now.duration(since: since) < Self.staleReadLimit else {
                throw .streamMoved("the checkpoint record \(key) has revision \(revision), but \(self.revision) was there")
            }
            logger.info("an old version of the checkpoint record was read: reading the record again", metadata: ["revision": .stringConvertible(revision)])
            putInFlight?.at = port.now
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
        guard let put = putInFlight else { return }
        guard isOurWord(there, put.record) else {
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
                "error": "\(why)", "bucket": "\(StreamerConfiguration.bucket)", "key": "\(key)",
                "hint": "Raise the limits of the bucket or of the account",
            ])
    }
}
