import Capture
import CoreMetrics
import History
import JetStreamPublishing
import Logging
import Synchronization
import Threads
import WAL

/// What the stream holds is compared with what comes out of the window, event by event, before anything is sent.
extension ChainedPublisher {
    /// Takes in what was read, as the beginning of what is to be compared.
    func beginComparison(_ read: StreamComparison, through end: UInt64) {
        comparison = read
        comparisonEnd = end
        comparisonInspection = handover.inspectionCount.load(ordering: .acquiring)
        comparedCount = 0
        nextIndex = window.releasedCount.load(ordering: .relaxed)
        refusals.wasRead(hasStrays: read.strayCount > 0)
        // Each stray costs what is in flight: the fewer, the sooner it is over.
        if read.strayCount > 0 { inFlightLimit = max(1, inFlightLimit / 2) }
    }

    /// Compares what was appended with what was read, and reads on; where all is compared, goes on to what follows.
    func compare() throws(StreamerError) {
        let appended = window.appendedCount.load(ordering: .acquiring)
        while true {
            try compareRead(appended)
            guard comparison.next == nil else { break }
            guard comparison.readSequence < comparisonEnd else {
                if mending == nil { endComparison() }
                return try act(machine.wasCompared(isMending: mending != nil))
            }
            guard try readOn() else { return }
        }
        // The answer to a put may be overdue.
        if mending == nil { try checkpointer.keep(known, backfilled, isCompared: false) }
    }

    /// Compares as far as there is something on both sides.
    private func compareRead(_ appended: UInt64) throws(StreamerError) {
        let first = nextIndex
        var stored = (sequence: known.storedSequence, id: known.storedID)
        var missingBefore: StreamComparison.Stored?
        compare: while nextIndex < appended, comparison.next != nil {
            let header = window.header(at: nextIndex)
            switch comparison.decoded(header.order, header.transactionID) {
            case .stored(let sequence)?:
                if let newestCommit, newestCommit.sequence == sequence, newestCommit.timestamp != header.commitTimestamp {
                    throw StreamHole.otherTime(sequence, header, stream: configuration.stream.name)
                }
                stored = (sequence, id(of: header, at: nextIndex))
                mending?.foundLater(strays.found.last(before: sequence))
            case .retired(let sequence)?: stored = (sequence, id(of: header, at: nextIndex))
            case .missing(let next)?:
                if header.order.isOfBackfill {
                    // Its number is missing from now on: the table's rows come once more.
                    lostRead(header, before: next)
                } else if let mending {
                    try keepMissing(at: nextIndex, in: mending)
                } else {
                    missingBefore = next
                    break compare
                }
            case .undecoded(let next)?:
                if let found = comparison.nextOfBackfill {
                    take(found, at: next.sequence)
                    stored = (next.sequence, found.id)
                } else {
                    try passOver(next)
                }
                continue compare
            case nil: break compare
            }
            nextIndex += 1
        }
        if nextIndex > first || stored.sequence > known.storedSequence {
            known.storedSequence = stored.sequence
            known.settledSequence = max(known.settledSequence, stored.sequence)
            comparedCount += nextIndex - first
            releaseWindow(through: nextIndex)
            // What `mend` takes out of the window is let go of, and not stored.
            known.storedID = stored.id
            publishedCount = max(publishedCount, nextIndex)
            machine.stored()
        }
        takeReads(behind: appended)
        if let missingBefore {
            try requireHole(before: missingBefore, appended)
        } else if let next = comparison.next {
            try requireDecodable(next)
        }
    }

    /// What a predecessor has read stands where it was meant to, once the event behind which it stands is compared: nothing of the window has to be compared with it.
    private func takeReads(behind appended: UInt64) {
        while nextIndex == appended, let next = comparison.next, let found = comparison.nextOfBackfill,
            known.storedID.map({ $0.position == next.position }) ?? true
        {
            take(found, at: next.sequence)
            known.storedSequence = next.sequence
            known.settledSequence = max(known.settledSequence, next.sequence)
            known.storedID = found.id
        }
    }

    private func take(_ found: (id: MessageID, isMarker: Bool), at sequence: UInt64) {
        backfilled?.take(found.id, isMarker: found.isMarker)
        comparison.passOverNext()
    }

    /// A row of a backfill was refused while what was sent behind it is stored.
    private func lostRead(_ header: EventHeader, before next: StreamComparison.Stored) {
        lostReads.insert(nextIndex)
        logger.warning(
            "a row of the backfill is not in the stream: the table's rows are read again",
            metadata: ["run": .stringConvertible(header.run), "count": .stringConvertible(header.count), "before_sequence": .stringConvertible(next.sequence)])
    }

    private func id(of header: EventHeader, at index: UInt64) -> MessageID {
        if header.order.isOfBackfill, let id = messageID(at: index) { return id }
        return MessageID(
            systemID: identity.systemID, databaseOID: identity.databaseOID,
            timeline: timelines.timeline(of: header.position), transactionID: header.transactionID,
            position: header.position)
    }

    /// An event is missing before `next`: which ones are known when that one is decoded.
    private func requireHole(before next: StreamComparison.Stored, _ appended: UInt64) throws(StreamerError) {
        let decoded = LSN(handover.decodedLSN.load(ordering: .acquiring))
        // Later than `appended`: what was decoded is there.
        let known = max(appended, window.appendedCount.load(ordering: .acquiring))
        var missing: [MessageID] = []
        var passedCount: UInt64 = 0
        for index in nextIndex..<known {
            let header = window.header(at: index)
            if header.order == next.order, header.transactionID == next.transactionID { throw hole(missing, isWhole: true, before: next) }
            guard header.order < next.order else { break }
            passedCount += 1
            if let id = messageID(at: index), !header.order.isOfBackfill { missing.append(id) }
            // The event behind which a row of a backfill stands is the last that can be missing before it.
            if header.order == StreamOrder(next.position), next.order.isOfBackfill { throw hole(missing, isWhole: true, before: next) }
        }
        if nextIndex + passedCount < known || decoded > next.position.commitLSN {
            throw StreamHole.undecoded(next, stream: configuration.stream.name)
        }
        // Nothing more comes before something is let go: so many were never in flight at a time.
        if window.isFull { throw hole(missing, isWhole: false, before: next) }
        try requireDecodable(next)
    }

    private func hole(_ missing: [MessageID], isWhole: Bool, before next: StreamComparison.Stored) -> StreamerError {
        StreamHole.error(
            missing: missing, isWhole: isWhole, before: next, stream: configuration.stream.name,
            stray: strays.found.last(before: next.sequence))
    }

    /// `next` can still be decoded: the server has WAL there, and has not decoded it without it.
    private func requireDecodable(_ next: StreamComparison.Stored) throws(StreamerError) {
        let appended = window.appendedCount.load(ordering: .acquiring)
        // Asked twice since it was read: the first answer may be older.
        let isInspected = handover.inspectionCount.load(ordering: .acquiring) >= comparisonInspection + 2
        let isBeyondWAL = isInspected && LSN(handover.serverLSN.load(ordering: .acquiring)) <= next.position.commitLSN
        let isPassed = LSN(handover.decodedLSN.load(ordering: .acquiring)) > next.position.commitLSN
        // What was handed on before it was passed is compared first.
        guard isBeyondWAL || isPassed, appended == nextIndex, window.appendedCount.load(ordering: .acquiring) == appended
        else { return }
        try passOver(next)
        // Nothing wakes this thread for what is compared then.
        handover.wakePublisher()
    }

    /// `next` has an id of ours and is no event of ours: `mend` takes it for somebody else's, a streamer stops.
    private func passOver(_ next: StreamComparison.Stored) throws(StreamerError) {
        guard let mending else { throw StreamHole.undecoded(next, stream: configuration.stream.name) }
        mending.undecoded.append(next)
        comparison.passOverNext()
    }

    /// Reads the next chunk of what the stream holds.
    /// - Returns: Whether it could be read; if not, it is trouble.
    private func readOn() throws(StreamerError) -> Bool {
        var reading = comparison
        do throws(JetStreamError) {
            let doubt = try StreamReading.readChunk(
                &reading, through: comparisonEnd, isFirstComparison || publishedCount > nextIndex, readingSource)
            if let doubt {
                report(.unexpectedSequence, doubt.what)
                return false
            }
        } catch {
            guard FailurePolicy.isWorthAsking(again: error) else { throw .jetStream(error) }
            report(.publishFailed, "\(error)")
            return false
        }
        comparison = reading
        return true
    }

    /// While nothing is to be sent strays are looked for now and then: told late they would be many, and once retention takes them nobody knows that they were none of ours.
    func lookForStrays() {
        let now = port.now
        guard window.retainedCount == 0, port.isConnected, strays.isLookDue(at: now) else { return }
        strays.looked(at: now)
        // What cannot be asked now is asked the next time.
        guard let end = try? port.reader.streamInfo(configuration.stream.name)?.state.lastSequence,
            end > known.settledSequence
        else { return }
        report(.unexpectedSequence, "the stream goes on to sequence \(end), and no message of that part is ours")
    }

    private func endComparison() {
        let isFirst = isFirstComparison
        // Nothing of it is needed any more, and its memory is.
        comparison = StreamComparison(known, identity: identity, timelines: timelines)
        isFirstComparison = false
        handover.storedBackfill.withLock { $0 = backfilled }
        handover.isCompared.store(true, ordering: .releasing)
        handover.wakeSource()
        known.settledSequence = comparisonEnd
        chain = PublishChain(lastSequence: comparisonEnd)
        // Refused again and again it is not connected until something is stored.
        setConnected(!machine.isFruitless || window.retainedCount == 0)
        logger.log(
            level: isFlood || machine.isFruitless ? .debug : isFirst && comparedCount == 0 ? .info : .notice, isFirst ? "compared" : "resynchronised",
            metadata: [
                "last_sequence": .stringConvertible(comparisonEnd), "stored_meanwhile": .stringConvertible(comparedCount),
                "to_send": .stringConvertible(window.retainedCount),
            ])
    }

    /// Where and how the stream is read.
    var readingSource: StreamReading.Source<Port.Reader> {
        StreamReading.Source(
            stream: configuration.stream.name, connection: port.reader,
            isWanted: { [self] in
                observations.turned(.delivery)
                return !handover.isStopRequested.load(ordering: .acquiring)
            },
            onStray: { [self] in told(stray: $0, $1) }, isMending: mending != nil)
    }

    /// Strays are told and counted; a flood of them is told once in a while.
    private func told(stray sequence: UInt64, _ subject: String) {
        observations.strayCount.add(1, ordering: .relaxed)
        observations.meters.strays.increment()
        guard strays.found(Stray(sequence: sequence, subject: subject), at: port.now) else { return }
        logger.warning(
            "another writer publishes to the stream: nothing is lost, but the streamer is slower",
            metadata: [
                "sequence": .stringConvertible(sequence), "subject": "\(subject)", "stream": "\(configuration.stream.name)",
                "finding": "\(FindingID.othersMayPublish.rawValue)",
                "hint": "Deny other NATS users to publish to \(configuration.capture.subjectPrefix).>",
            ])
    }
}
