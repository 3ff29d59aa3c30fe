import Capture
import History
import JetStreamPublishing
import Threads
import WAL

/// One replay while it lasts: takes events from either source, leaves out what is not meant or is there, and stores the rest.
final class ReplayRun: EventSink {
    /// Events, and their bytes, that wait to be stored: more are not read.
    private static let pendingLimit = 8_192
    private static let pendingByteLimit = 8 << 20
    /// Subjects that are counted each.
    private static let subjectLimit = 1_000

    private let request: Replay.Request
    private let capture: CaptureConfiguration
    private let failpoints: Failpoints
    private let onProgress: (Replay.Progress) -> Void
    private let entityForms: Set<String>?
    private let began = Instant.now
    var outcome: Replay.Outcome
    var range = ResolvedRange()
    /// In place of the live stream's.
    var prefix: String
    var target: ReplayTarget?
    /// The events that the target holds, where that is asked for.
    private var known = PositionSet()
    /// The last event of this replay that the target holds; what comes before it is there.
    private var resumed: (id: String, position: Position)?
    private var append: ChainedAppend<NATSLink>?
    private var offeredCount: UInt64 = 0
    private var decoded: [DecodedEvent] = []
    private var decodedByteCount = 0

    init(
        _ request: Replay.Request, _ configuration: StreamerConfiguration, failpoints: Failpoints,
        onProgress: @escaping (Replay.Progress) -> Void
    ) {
        self.request = request
        capture = configuration.capture
        prefix = configuration.capture.subjectPrefix
        self.failpoints = failpoints
        self.onProgress = onProgress
        outcome = Replay.Outcome(replayID: request.replayID)
        entityForms = request.filter.entity.map {
            NameSearch.forms(ofEntity: $0, configuration.capture.tablePrefixes, configuration.capture.entities)
        }
    }

    // MARK: - The target

    /// Looks what the target holds already, and goes on behind it.
    func aim(at target: ReplayTarget, over link: NATSLink, _ identity: SourceIdentity) throws(StreamerError) {
        if target.lastSequence > 0, request.isResumed || request.isMissingOnly {
            let suffix = ".r.\(request.replayID)"
            do throws(JetStreamError) {
                try link.connection.readHeaders(
                    target.stream, 1...target.lastSequence, consumer: "slotstream_replay_\(request.replayID)", isWanted: { true }
                ) { _, messageID, _ in
                    guard let messageID, let id = MessageID(header: messageID), id.isOf(identity) else { return true }
                    if request.isMissingOnly { known.insert(id.lateOriginal?.position ?? id.position) }
                    let text = messageID.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
                    if text.hasSuffix(suffix) { resumed = (String(text.dropLast(suffix.count)), id.position) }
                    return true
                }
            } catch {
                throw .jetStream(error)
            }
            known.sort()
        }
        append = ChainedAppend(
            link, stream: target.stream, created: target.created, identity: identity, behind: target.lastSequence,
            inFlightLimit: 4_096)
    }

    private var hasRoom: Bool {
        if let rate = request.rate, Double(offeredCount) + Double(decoded.count) >= Instant.now.duration(since: began).seconds * Double(rate) { return false }
        return (append?.pendingCount ?? 0) + decoded.count < Self.pendingLimit
            && (append?.pendingByteCount ?? 0) + decodedByteCount < Self.pendingByteLimit
    }

    /// Moves on what waits, and tells how it goes.
    private func turn(_ fraction: Double) throws(StreamerError) {
        let before = append?.storedCount
        try append?.turn()
        if append?.storedCount != before { failpoints.reached(.afterReplayed) }
        if let stored = append?.storedCount { outcome.published = stored }
        onProgress(Replay.Progress(published: outcome.published, skipped: outcome.skipped, fraction: fraction))
    }

    // MARK: - Reading

    /// Reads it all, and waits until the last event is stored.
    func read(_ plan: ReplayPlan, _ stored: StoredPast, _ past: PastReader?, payloadLimit: Int) throws(StreamerError) {
        if let sequences = plan.sequences { try read(sequences, of: stored, before: plan.walFrom) }
        if let past, let from = plan.walFrom {
            try past.begin(at: from, payloadLimit: payloadLimit, skips: stored.record.acceptedSkips)
            let span = max(1, Double(min(plan.walEnd, stored.provenLSN).byteCount(since: from)))
            var sink = self
            _ = try past.read(before: plan.walEnd, into: &sink, hasRoom: { self.hasRoom }) { () throws(StreamerError) in
                offerDecoded(past.kinds)
                try turn(Double(past.position.byteCount(since: from)) / span)
                return true
            }
            offerDecoded(past.kinds)
        }
        while let append, append.pendingCount > 0 {
            append.port.wait(timeout: append.waitTime)
            try turn(1)
        }
        try turn(1)
    }

    private func read(_ sequences: ClosedRange<UInt64>, of stored: StoredPast, before end: LSN?) throws(StreamerError) {
        // An earlier run came further than this part.
        if let resumed, let end, resumed.position.commitLSN >= end { return }
        let skippedBefore = outcome.skipped
        if try pass(sequences, of: stored, isResumedHeld: true) { return }
        // Retention took the last event of the earlier run: its position tells as much.
        outcome.skipped = skippedBefore
        _ = try pass(sequences, of: stored, isResumedHeld: false)
    }

    /// One pass through the stream.
    /// - Parameter isResumedHeld: The last event of an earlier run is looked for by its id; false: its position is gone by.
    /// - Returns: Whether it began: the last event of an earlier run, if there was one, was met.
    private func pass(
        _ sequences: ClosedRange<UInt64>, of stored: StoredPast, isResumedHeld: Bool
    ) throws(StreamerError) -> Bool {
        let reader = try StreamerError.ofJetStream { () throws(JetStreamError) in
            try stored.connection.openReader(stored.name, from: .sequence(sequences.lowerBound))
        }
        defer { reader.close() }
        // Whether what comes is behind the last event of an earlier run.
        var isBehind = resumed == nil
        let span = Double(sequences.count)
        var sequence = sequences.lowerBound
        while sequence <= sequences.upperBound {
            try turn(Double(sequence - sequences.lowerBound) / span)
            guard hasRoom else {
                append?.port.wait(timeout: .milliseconds(1))
                continue
            }
            let message = try StreamerError.ofJetStream { () throws(JetStreamError) in try reader.next(timeout: .seconds(2)) }
            guard let message else {
                // What was there at the beginning has been removed meanwhile, up to the end.
                guard try isGone(sequence, of: stored) else { continue }
                return isBehind
            }
            sequence = message.sequence + 1
            guard message.sequence <= sequences.upperBound, let text = message.messageID, let id = MessageID(text) else { continue }
            switch id.kind {
            case .event, .late: break
            case .marker, .replayed, .backfilled: continue
            }
            let position = id.lateOriginal?.position ?? id.position
            let original = id.lateOriginal?.description ?? text
            if !isBehind, !isResumedHeld, id.kind == .event, let resumed, position > resumed.position { isBehind = true }
            if !isBehind {
                isBehind = isResumedHeld && original == resumed?.id
                outcome.skipped += 1
                continue
            }
            let event = EventFormat.read(message.payload, subject: message.subject)
            outcome.fromStream += offer(
                position, event?.commitTimestamp, entity: event?.entity ?? "", operation: event?.operation ?? "",
                subject: Array(message.subject.utf8), id: original, payload: message.payload) ? 1 : 0
        }
        return isBehind
    }

    private func isGone(_ sequence: UInt64, of stored: StoredPast) throws(StreamerError) -> Bool {
        let place = try StreamerError.ofJetStream { () throws(JetStreamError) in try stored.place(atOrBehind: sequence) }
        return place == nil
    }

    func accept(_ header: EventHeader, subject: RawSpan, messageID: RawSpan, payload: RawSpan) {
        guard range.contains(header.position, committedAt: header.commitTime) else { return }
        if let resumed, header.position <= resumed.position {
            outcome.skipped += 1
            return
        }
        let event = DecodedEvent(header, subject: subject, messageID: messageID, payload: payload)
        decodedByteCount += event.byteCount
        decoded.append(event)
    }

    /// Hands on what was decoded; what an event's kind means is known once its message was taken.
    private func offerDecoded(_ kinds: [EventKind]) {
        // A marker in the place of a skipped event is the live stream's own.
        for event in decoded where MessageID(event.messageID)?.kind == .event {
            let kind = kinds[Int(event.header.kindIndex)]
            _ = offer(
                event.header.position, event.header.commitTime, entity: kind.entity, operation: kind.operation,
                subject: event.subject, id: event.messageID, payload: event.payload)
        }
        decoded.removeAll(keepingCapacity: true)
        decodedByteCount = 0
    }

    // MARK: - One event

    /// - Returns: Whether it is replayed.
    private func offer(
        _ position: Position, _ commitTimestamp: PostgresTimestamp?, entity: String, operation: String, subject: [UInt8],
        id: String, payload: [UInt8]
    ) -> Bool {
        guard range.contains(position, committedAt: commitTimestamp) else { return false }
        guard isMeant(entity: entity, operation: operation, payload, subject) else { return false }
        offeredCount += 1
        guard !known.contains(position) else {
            outcome.skipped += 1
            return false
        }
        let subject = Array(prefix.utf8) + subject.dropFirst(capture.subjectPrefix.utf8.count)
        count(subject, payload.count, position, commitTimestamp)
        if append == nil { outcome.published += 1 }
        append?.add(AppendedEvent(subject: subject, messageID: "\(id).r.\(request.replayID)", payload: payload))
        return true
    }

    private func isMeant(entity: String, operation: String, _ payload: [UInt8], _ subject: [UInt8]) -> Bool {
        if let wanted = request.filter.operation, NameSearch.folded(wanted) != NameSearch.folded(operation) { return false }
        if let entityForms, !entityForms.contains(NameSearch.folded(entity)) {
            if outcome.otherEntities.count < 100, !entity.isEmpty { outcome.otherEntities.insert(entity) }
            return false
        }
        guard let table = request.filter.table else { return true }
        return EventFormat.read(payload, subject: String(decoding: subject, as: UTF8.self))?.table == table
    }

    private func count(_ subject: [UInt8], _ byteCount: Int, _ position: Position, _ commitTimestamp: PostgresTimestamp?) {
        let name = String(decoding: subject, as: UTF8.self)
        let isCounted = outcome.bySubject[name] != nil || outcome.bySubject.count < Self.subjectLimit
        outcome.bySubject[isCounted ? name : "other", default: 0] += 1
        outcome.byteCount += UInt64(byteCount)
        outcome.firstLSN = outcome.firstLSN ?? position.commitLSN
        outcome.lastLSN = position.commitLSN
        outcome.firstTime = outcome.firstTime ?? commitTimestamp
        outcome.lastTime = commitTimestamp ?? outcome.lastTime
    }
}
