import Capture
import History
import JetStreamPublishing
import WAL

/// The comparison itself: expected events come in the order of their commits, stored ones in the order of their sequences.
final class PastComparison: EventSink {
    /// Matched positions that are remembered, to tell a doubled event from a foreign one.
    private static let matchedLimit = 65_536
    /// Expected events that wait for their turn.
    private static let expectedLimit = 4_096
    private static let expectedByteLimit = 8 << 20
    /// Of a body, so much is shown.
    private static let shownByteCount = 2_000

    let stored: StoredPast
    private let range: ResolvedRange
    var outcome: Verification.Outcome
    private var expected: [DecodedEvent] = []
    private var expectedByteCount = 0
    /// Expected and not met yet, by position.
    private var missing: [Position: Verification.Difference] = [:]
    private var matched: Set<Position> = []
    private var matchedOrder: [Position] = []
    private var lastTransaction: LSN?
    /// nil before the first message.
    var backfills: BackfillProof?

    init(_ stored: StoredPast, _ range: ResolvedRange) {
        self.stored = stored
        self.range = range
        outcome = Verification.Outcome(stream: stored.name)
    }

    // MARK: - What the stream's markers tell

    /// Reads the markers of accepted gaps.
    func readGaps(prefix: String) throws(StreamerError) {
        let subject = "\(prefix)._slotstream.GAP"
        guard stored.lastSequence > 0 else { return }
        let last = try StreamerError.ofJetStream { () throws(JetStreamError) in try stored.connection.lastMessage(stored.name, subject: subject) }
        guard let last else { return }
        let reader = try StreamerError.ofJetStream { () throws(JetStreamError) in
            try stored.connection.openReader(stored.name, from: .first, filter: subject)
        }
        defer { reader.close() }
        while let message = try StreamerError.ofJetStream({ () throws(JetStreamError) in try reader.next(timeout: .seconds(5)) }) {
            if let marker = GapMarker(json: message.payload), let from = LSN(marker.gap.fromLsn), let to = LSN(marker.gap.toLsn) {
                outcome.gaps.append(
                    Verification.Gap(
                        sequence: message.sequence, fromLSN: from, toLSN: to, reason: marker.gap.reason,
                        acceptedBy: marker.gap.acceptedBy, at: marker.timestamp))
            }
            if message.sequence >= last.sequence { break }
        }
    }

    // MARK: - What the stream itself proves

    /// Ids strictly rising, transactions whole, no sequence missing.
    func proveByStream(
        _ sequences: ClosedRange<UInt64>, onProgress: (Double, Verification.Outcome) -> Void
    ) throws(StreamerError) {
        looked(at: sequences)
        var cursor = try StreamCursor(stored, sequences)
        var last: (position: Position, isLast: Bool?, id: String, subject: String)?
        while let message = try cursor.peek() {
            try advance(&cursor, past: message)
            onProgress(Double(message.sequence - sequences.lowerBound) / Double(sequences.count), outcome)
            guard let id = message.id, let text = message.idText else {
                outcome.strays += 1
                continue
            }
            guard id.kind == .event else {
                if case .late = id.kind { outcome.late += 1 }
                if case .backfilled = id.kind { continue }
                // What stands in the place of a transaction's last event ends the transaction.
                if let commitLSN = last?.position.commitLSN, id.position.commitLSN == commitLSN { last?.isLast = nil }
                continue
            }
            let event = EventFormat.read(message.payload, subject: message.subject)
            guard range.contains(id.position, committedAt: event?.commitTimestamp) else { continue }
            outcome.provenByStream += 1
            if let last {
                if id.position == last.position {
                    differs(.doubled, text, id.position.commitLSN, message)
                } else if id.position < last.position {
                    differs(.reordered, text, id.position.commitLSN, message)
                } else if id.position.commitLSN != last.position.commitLSN, last.isLast == false {
                    // The rest of its transaction is not there.
                    note(
                        Verification.Difference(
                            kind: .missing, id: "behind \(last.id)", lsn: last.position.commitLSN, sequence: nil, subject: last.subject))
                }
            }
            if last.map({ id.position > $0.position }) ?? true { last = (id.position, event?.isLast, text, message.subject) }
        }
        outcome.deletedCount += cursor.deletedCount
        // Nobody knows what stood there: an event, as far as the stream can tell.
        if cursor.deletedCount > 0 {
            note(
                Verification.Difference(
                    kind: .missing, id: nil, lsn: nil, sequence: nil,
                    subject: "\(cursor.deletedCount) sequences between \(sequences.lowerBound) and \(sequences.upperBound) are not there"))
        }
    }

    private func looked(at sequences: ClosedRange<UInt64>) {
        let known = outcome.sequences ?? sequences
        outcome.sequences = min(known.lowerBound, sequences.lowerBound)...max(known.upperBound, sequences.upperBound)
        if backfills == nil { backfills = BackfillProof(isFromBeginning: sequences.lowerBound == 1) }
    }

    // MARK: - WAL beside stream

    func accept(_ header: EventHeader, subject: RawSpan, messageID: RawSpan, payload: RawSpan) {
        let event = DecodedEvent(header, subject: subject, messageID: messageID, payload: payload)
        expectedByteCount += event.byteCount
        expected.append(event)
    }

    /// Reads what commits from `start` on and before `end`, and compares it.
    func compare(
        _ past: PastReader, from start: LSN, before end: LSN, payloadLimit: Int, onProgress: (Double, Verification.Outcome) -> Void
    ) throws(StreamerError) {
        outcome.walRange = start...end
        // A message outside transactions whose record ends there is read too.
        let sequences = try stored.sequences(from: start, before: LSN(end.rawValue + 1))
        if let sequences { looked(at: sequences) }
        // What was stored late, or out of its order, may stand far behind.
        var cursor = try StreamCursor(stored, sequences)
        try past.begin(at: start, payloadLimit: payloadLimit, skips: stored.record.acceptedSkips)
        let span = max(1, Double(end.byteCount(since: start)))
        var sink = self
        _ = try past.read(before: end, into: &sink, hasRoom: { self.expected.count < Self.expectedLimit && self.expectedByteCount < Self.expectedByteLimit }) { () throws(StreamerError) in
            for event in expected { try meet(event, &cursor) }
            expected.removeAll(keepingCapacity: true)
            expectedByteCount = 0
            onProgress(Double(past.position.byteCount(since: start)) / span, outcome)
            return true
        }
        for event in expected { try meet(event, &cursor) }
        expected.removeAll()
        while let message = try cursor.peek() {
            try advance(&cursor, past: message)
            pass(message)
        }
        outcome.deletedCount += cursor.deletedCount
        try findLate(behind: sequences == nil ? stored.firstSequence - 1 : cursor.position)
        try stored.lookAgain()
        for position in missing.keys where stored.isRetired(position) {
            missing[position] = nil
            outcome.retired += 1
        }
        for difference in missing.sorted(by: { $0.key < $1.key }) { note(difference.value) }
        missing = [:]
    }

    private func meet(_ event: DecodedEvent, _ cursor: inout StreamCursor) throws(StreamerError) {
        guard range.contains(event.header.position, committedAt: nil) else { return }
        // Outside of the times that are meant it is met all the same: what is stored of it does not always tell its time.
        let isCounted = range.contains(event.header.position, committedAt: event.header.commitTime)
        if isCounted, lastTransaction != event.header.position.commitLSN {
            lastTransaction = event.header.position.commitLSN
            outcome.transactions += 1
        }
        while let message = try cursor.peek() {
            if Self.isSkip(message), message.id?.position == event.header.position {
                // Whether or not it could be an event by now.
                try advance(&cursor, past: message)
                if isCounted { outcome.accepted += 1 }
                return
            }
            guard let id = message.id, id.kind == .event else {
                try advance(&cursor, past: message)
                pass(message)
                continue
            }
            if id.position > event.header.position { break }
            try advance(&cursor, past: message)
            guard id.position == event.header.position else {
                pass(message)
                continue
            }
            remember(id.position)
            guard isCounted else { return }
            outcome.compared += 1
            if Self.standsIn(message, for: event) {
                outcome.accepted += 1
            } else if !message.subject.utf8.elementsEqual(event.subject) || !event.hasPayload(message.payload) || message.idText != event.messageID {
                note(
                    Verification.Difference(
                        kind: .altered, id: event.messageID, lsn: event.header.position.commitLSN, sequence: message.sequence,
                        subject: message.subject, expected: Self.shown(String(decoding: event.subject, as: UTF8.self), event.payload),
                        stored: Self.shown(message.subject, message.payload)))
            }
            return
        }
        if isCounted { absent(event) }
    }

    /// Whether it is the marker of a change that was passed over on purpose.
    private static func isSkip(_ message: StreamCursor.Message) -> Bool {
        message.id?.kind == .marker && isReserved(message.subject) && message.subject.hasSuffix(".\(ReservedEntity.skipOperation)")
    }

    /// Whether what stands on the subject is Slotstream's own.
    private static func isReserved(_ subject: String) -> Bool {
        subject.split(separator: ".").suffix(2).first.map { ReservedEntity.isReserved(String($0)) } == true
    }

    /// Whether the message stands in its place for an event that could not be sent then, and can be now: `skip` or the quarantine put it there.
    private static func standsIn(_ message: StreamCursor.Message, for event: DecodedEvent) -> Bool {
        isReserved(message.subject) && !message.subject.utf8.elementsEqual(event.subject)
    }

    /// An expected event of which a later one is stored, or none.
    private func absent(_ event: DecodedEvent) {
        let position = event.header.position
        if stored.isRetired(position) {
            outcome.retired += 1
        } else if outcome.gaps.contains(where: { position.commitLSN >= $0.fromLSN && position.commitLSN < $0.toLSN }) {
            outcome.accepted += 1
        } else if missing.count < Verification.toldLimit {
            missing[position] = Verification.Difference(
                kind: .missing, id: event.messageID, lsn: position.commitLSN, sequence: nil,
                subject: String(decoding: event.subject, as: UTF8.self),
                expected: Self.shown(String(decoding: event.subject, as: UTF8.self), event.payload))
        } else {
            outcome.differenceCounts[.missing, default: 0] += 1
        }
    }

    /// A stored message that is not the next one that is expected.
    private func pass(_ message: StreamCursor.Message) {
        guard let id = message.id, let text = message.idText else {
            outcome.strays += 1
            return
        }
        switch id.kind {
        case .marker, .backfilled: break
        case .replayed: differs(.foreign, text, nil, message)
        case .late: metLate(id)
        case .event:
            guard range.contains(id.position, committedAt: nil), !isOutsideTime(message) else { return }
            if missing.removeValue(forKey: id.position) != nil {
                differs(.reordered, text, id.position.commitLSN, message)
            } else if matched.contains(id.position) {
                differs(.doubled, text, id.position.commitLSN, message)
            } else if let walRange = outcome.walRange, id.position.commitLSN >= walRange.lowerBound, id.position.commitLSN < walRange.upperBound {
                differs(.foreign, text, id.position.commitLSN, message)
            }
        }
    }

    private func isOutsideTime(_ message: StreamCursor.Message) -> Bool {
        guard range.fromTime != nil || range.toTime != nil, let id = message.id else { return false }
        let event = EventFormat.read(message.payload, subject: message.subject)
        return !range.contains(id.position, committedAt: event?.commitTimestamp)
    }

    private func metLate(_ id: MessageID) {
        guard let original = id.lateOriginal, missing.removeValue(forKey: original.position) != nil else { return }
        outcome.late += 1
    }

    /// What is missing may have been stored behind the range.
    private func findLate(behind sequence: UInt64) throws(StreamerError) {
        guard !missing.isEmpty, sequence < stored.lastSequence else { return }
        do throws(JetStreamError) {
            try stored.connection.readHeaders(
                stored.name, sequence + 1...stored.lastSequence, consumer: "slotstream_verify", isWanted: { true }
            ) { found, messageID, subject in
                guard let messageID, let id = MessageID(header: messageID) else { return true }
                switch id.kind {
                case .late: metLate(id)
                case .event where missing.removeValue(forKey: id.position) != nil:
                    let message = StreamCursor.Message(
                        sequence: found, subject: subject.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }, id: id,
                        idText: id.description, payload: [])
                    differs(.reordered, id.description, id.position.commitLSN, message)
                case .event, .marker, .replayed, .backfilled: break
                }
                return !missing.isEmpty
            }
        } catch {
            throw .jetStream(error)
        }
    }

    private func remember(_ position: Position) {
        matched.insert(position)
        matchedOrder.append(position)
        guard matchedOrder.count >= 2 * Self.matchedLimit else { return }
        for old in matchedOrder.prefix(Self.matchedLimit) { matched.remove(old) }
        matchedOrder.removeFirst(Self.matchedLimit)
    }

    // MARK: - Differences

    private func differs(_ kind: Verification.Difference.Kind, _ id: String, _ lsn: LSN?, _ message: StreamCursor.Message) {
        note(
            Verification.Difference(
                kind: kind, id: id, lsn: lsn, sequence: message.sequence, subject: message.subject,
                stored: Self.shown(message.subject, message.payload)))
    }

    func note(_ difference: Verification.Difference) {
        outcome.differenceCounts[difference.kind, default: 0] += 1
        if outcome.differences.count < Verification.toldLimit { outcome.differences.append(difference) }
    }

    private static func shown(_ subject: String, _ payload: [UInt8]) -> String {
        "\(subject) \(String(decoding: payload.prefix(shownByteCount), as: UTF8.self))\(payload.count > shownByteCount ? "…" : "")"
    }
}
