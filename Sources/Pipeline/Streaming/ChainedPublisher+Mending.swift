import Capture
import JetStreamPublishing
import Logging
import Synchronization
import Threads
import WAL

/// `mend`: what is missing is taken out of the window instead of stopping for it, and stored behind the stream's end when all is compared.
extension ChainedPublisher {
    /// The event at `index`, which the stream lacks, is kept.
    func keepMissing(at index: UInt64, in mending: Mending) throws(StreamerError) {
        window.withEvent(at: index) { subject, messageID, payload in
            guard let id = messageID.withUnsafeBufferPointer({ MessageID(utf8: $0) }) else { return }
            mending.add(
                Mending.Missing(
                    id: id, subject: subject.withUnsafeBufferPointer { Array($0) },
                    payload: payload.withUnsafeBufferPointer { Array($0) }))
        }
        guard mending.missingByteCount <= Mending.byteLimit else {
            throw .stop(
                .holeFound,
                what: "stream \(configuration.stream.name) lacks more than \(mending.missing.count) events, which are too many to be stored late",
                remedy: Steps.text("Nothing was stored", LostHistory.beginAnew))
        }
    }

    /// All is compared: stores marker and late events, then the record; ends the thread.
    func finishMending(_ mending: Mending, _ compared: StreamComparison) throws(StreamerError) {
        defer { handover.isStopRequested.store(true, ordering: .releasing) }
        mending.deleted = compared.deleted
        guard mending.isNeeded, !mending.isDryRun else {
            mending.isDone = true
            handover.failure.withLock { $0 = .cancelled }
            return
        }
        let watermark = known.storedID ?? record.lastMessageID ?? Self.beginning(record, identity, timelines)
        do throws(JetStreamError) {
            var last = try storeMarker(mending, compared, watermark)
            for event in mending.missing {
                if let stored = compared.lateSequence(of: event.id.position) {
                    last = max(last, stored)
                } else {
                    failpoints.reached(.beforeLate)
                    last = try store(
                        event.subject, HoleMarker.lateBody(event.payload, original: event.id),
                        id: "\(watermark).late.\(event.id)", after: comparisonEnd)
                }
            }
            failpoints.reached(.afterLate)
            try putMended(watermark, last)
        } catch {
            // Somebody wrote meanwhile: everything is read again, and what was stored already is found.
            throw error.isWrongLastSequence ? .streamMoved("something was stored meanwhile") : .jetStream(error)
        }
        mending.isDone = true
        handover.failure.withLock { $0 = .cancelled }
    }

    /// - Returns: The marker's sequence: that of an earlier run if there is one.
    private func storeMarker(
        _ mending: Mending, _ compared: StreamComparison, _ watermark: MessageID
    ) throws(JetStreamError) -> UInt64 {
        let ids = mending.missing.filter { compared.lateSequence(of: $0.id.position) == nil }.map(\.id.description)
        if let sequence = compared.holeMarkerSequence,
            let marker = try port.reader.message(configuration.stream.name, sequence: sequence),
            HoleMarker.names(ids, in: marker.payload)
        {
            mending.markerSequence = sequence
            return max(sequence, known.storedSequence)
        }
        let id = "\(watermark).gap.\(String(port.random(), radix: 36))"
        let marker = HoleMarker(
            id: id, timestamp: port.wallClock.description,
            hole: HoleMarker.Hole(
                missing: Array(ids.prefix(HoleMarker.missingLimit)), missingCount: ids.count, stray: mending.stray,
                deleted: mending.deleted.map {
                    HoleMarker.Deleted(fromSequence: $0.lowerBound, toSequence: $0.upperBound)
                },
                forged: mending.undecoded.isEmpty ? nil : mending.undecoded.prefix(HoleMarker.missingLimit).map(\.sequence),
                acceptedBy: mending.acceptedBy))
        let subject = "\(configuration.capture.subjectPrefix)._slotstream.\(HoleMarker.token)"
        let sequence = try store(Array(subject.utf8), marker.json(), id: id, after: comparisonEnd)
        mending.markerSequence = sequence
        failpoints.reached(.afterMarker)
        return sequence
    }

    /// Stores one message behind the stream's end, and waits for it.
    private func store(
        _ subject: [UInt8], _ payload: [UInt8], id: String, after sequence: UInt64
    ) throws(JetStreamError) -> UInt64 {
        comparisonEnd = try port.store(
            payload, on: String(decoding: subject, as: UTF8.self),
            headers: [("Nats-Msg-Id", id), ("Nats-Expected-Last-Sequence", String(sequence))],
            in: configuration.stream.name)
        return comparisonEnd
    }

    /// The record as it is once nothing is missing any more.
    private func putMended(_ watermark: MessageID, _ last: UInt64) throws(JetStreamError) {
        var next = record
        next.lastId = watermark.description
        next.lastSequence = last
        next.settledSequence = max(last, comparisonEnd)
        next.owner = ""
        _ = try port.put(
            next.json(), key: configuration.stream.name, expectedRevision: revision,
            timeout: JetStreamConnection.apiTimeout)
    }

    /// Where a stream begins that nothing of ours is proven of.
    private static func beginning(
        _ record: CheckpointRecord, _ identity: SourceIdentity, _ timelines: TimelineHistory
    ) -> MessageID {
        let lsn = record.confirmedLSN
        return MessageID(
            systemID: identity.systemID, databaseOID: identity.databaseOID, timeline: timelines.timeline(containing: lsn),
            transactionID: .none, position: Position(commitLSN: lsn, ordinal: 0))
    }
}
