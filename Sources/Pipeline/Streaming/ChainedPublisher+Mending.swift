import Capture
import History
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
    func mend() throws(StreamerError) {
        guard let mending else { return }
        defer { handover.isStopRequested.store(true, ordering: .releasing) }
        mending.deleted = comparison.deleted
        if mending.isNeeded, !mending.isDryRun { try storeMissing(mending) }
        mending.isDone = true
        handover.failure.withLock { $0 = .cancelled }
        try act(machine.mended())
    }

    /// What an earlier run has stored is not stored again.
    private func storeMissing(_ mending: Mending) throws(StreamerError) {
        let watermark = known.storedID ?? checkpointer.record.lastMessageID ?? Self.beginning(checkpointer.record, identity, timelines)
        let late = mending.missing.filter { comparison.lateSequence(of: $0.id.position) == nil }
        var last = mending.missing.compactMap { comparison.lateSequence(of: $0.id.position) }.max() ?? 0
        var append = ChainedAppend(
            port, stream: configuration.stream.name, created: known.created, identity: identity, behind: comparisonEnd,
            epoch: epoch)
        if let sequence = try storedMarker(of: late) {
            mending.markerSequence = sequence
            last = max(last, sequence, known.storedSequence)
        } else {
            let sequence = try store([marker(of: late, mending, watermark)], &append)
            mending.markerSequence = sequence
            last = max(last, sequence)
            failpoints.reached(.afterMarker)
        }
        for event in late {
            failpoints.reached(.beforeLate)
            let body = EventFormat.late(event.payload, original: event.id)
            last = try store(
                [AppendedEvent(subject: event.subject, messageID: watermark.late(event.id), payload: body)], &append)
        }
        failpoints.reached(.afterLate)
        try StreamerError.ofJetStream { () throws(JetStreamError) in try putMended(watermark, last, settled: append.end) }
    }

    /// - Returns: The last one's sequence.
    private func store(_ events: [AppendedEvent], _ append: inout ChainedAppend<Port>) throws(StreamerError) -> UInt64 {
        try append.append(events) { [self] in
            observations.turned(.delivery)
            return !handover.isStopRequested.load(ordering: .acquiring)
        }
    }

    /// The sequence of an earlier run's marker that names all of these.
    private func storedMarker(of late: [Mending.Missing]) throws(StreamerError) -> UInt64? {
        guard let sequence = comparison.holeMarkerSequence else { return nil }
        let found = try StreamerError.ofJetStream { () throws(JetStreamError) in
            try port.reader.message(configuration.stream.name, sequence: sequence)
        }
        guard let found, HoleMarker.names(late.map(\.id.description), in: found.payload) else { return nil }
        return sequence
    }

    private func marker(of late: [Mending.Missing], _ mending: Mending, _ watermark: MessageID) -> AppendedEvent {
        let id = watermark.marker(random: port.random())
        let ids = late.map(\.id.description)
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
        return AppendedEvent(subject: Array(subject.utf8), messageID: id, payload: marker.json())
    }

    /// The record as it is once nothing is missing any more.
    private func putMended(_ watermark: MessageID, _ last: UInt64, settled: UInt64) throws(JetStreamError) {
        var next = checkpointer.record
        next.lastId = watermark.description
        next.lastSequence = last
        next.settledSequence = max(last, settled)
        next.owner = ""
        // Rows that were passed on the way are not read again.
        if let backfilled, next.backfill?.run == backfilled.run, next.backfill?.isForLiveStream == true { next.backfill?.stored = backfilled }
        _ = try port.put(
            next.json(), key: configuration.stream.name, expectedRevision: checkpointer.revision,
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
