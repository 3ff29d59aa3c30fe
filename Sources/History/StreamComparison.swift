package import Capture
package import WAL

/// Compares what the stream holds beyond the proven message with the events that the slot decodes, one by one. Pure: it is handed what was read and what was decoded.
///
/// "Present, ours, ids rising" proves nothing: a stray takes the number of a message in flight, that one is refused, and all after it are stored
/// behind a hole. So each message of ours must be exactly the event that follows the one before it.
package struct StreamComparison {
    /// A message of ours, as its header tells it.
    package struct Stored: Equatable, Sendable {
        package var sequence: UInt64
        package var transactionID: TransactionID
        /// Sequences between the message of ours before it and this one that retention has taken, so many events may have been among them; and the last of them.
        package var retiredCount: UInt32
        package var retiredSequence: UInt64
        package var order: StreamOrder

        package var position: Position { order.position }
    }

    /// What is wrong with what was read.
    package enum Fault: Error, Equatable {
        /// Another message stands where the proven one stood: the stream lost its end, and was written to again.
        case provenReplaced(sequence: UInt64, found: String)
        /// A message was deleted before anybody compared it.
        case deleted(ClosedRange<UInt64>)
        /// An id of ours of a history that the server does not have.
        case otherHistory(MessageID, sequence: UInt64)
    }

    /// What a message that was read is.
    package enum Reading: Equatable {
        /// The proven one, in its place.
        case proven
        /// An event of ours, a marker in its place, or a message of a backfill: compared when the slot decodes what follows.
        case ours
        /// A marker, or what another command of ours stores: no event of the live stream.
        case marker
        /// Somebody else's, or an old message of ours stored again.
        case stray
    }

    /// What the next event that was decoded is.
    package enum Match: Equatable {
        /// Stored at this sequence.
        case stored(sequence: UInt64)
        /// Retention has taken it: there were sequences enough, this one for it.
        case retired(sequence: UInt64)
        /// Not stored: it would have to stand before this message.
        case missing(before: Stored)
        /// This message is of ours, and what it would be was not decoded where it would have to be.
        case undecoded(Stored)
    }

    package let identity: SourceIdentity
    package let timelines: TimelineHistory
    /// Of our own last message that is proven; the position is nil before the first.
    private let provenSequence: UInt64
    private let provenOrder: StreamOrder?

    /// What was read and not compared yet, oldest first: `stored[firstIndex...]`.
    private var stored: [Stored] = []
    private var firstIndex = 0
    /// Of those that are of a backfill, in the same order: what else their ids tell, and whether they are markers.
    private var places: [(place: BackfillPlace, isMarker: Bool)] = []
    private var firstPlaceIndex = 0
    /// Changes in whose places markers stand.
    private let skips: [AcceptedSkip]
    /// Everything up to it has been read.
    package private(set) var readSequence: UInt64
    /// Of the newest message of ours that was read, or is proven.
    private var newest: StreamOrder?
    /// Sequences that were not there since the message of ours before.
    private var absentCount: UInt64 = 0
    /// The last run of sequences that was not there.
    private var lastAbsent: ClosedRange<UInt64>?
    package private(set) var strayCount = 0
    /// What an earlier `mend` stored: late events by their own change's position, and its marker.
    private var lateSequences: [Position: UInt64] = [:]
    package private(set) var holeMarkerSequence: UInt64?
    /// `mend` passes over what was deleted before it was compared, since it stores what that was once more, and over ids of another history.
    private let isMending: Bool
    package private(set) var deleted: ClosedRange<UInt64>?

    /// - Parameter known: What is proven; what stands behind it is read.
    package init(_ known: KnownEnd, identity: SourceIdentity, timelines: TimelineHistory, isMending: Bool = false) {
        self.isMending = isMending
        self.identity = identity
        self.timelines = timelines
        provenSequence = known.storedSequence
        provenOrder = known.storedID?.order
        newest = provenOrder
        skips = known.skips
        readSequence = max(known.storedSequence, known.settledSequence)
    }

    /// The oldest message of ours that no decoded event was compared with; nil: none is left of what was read.
    package var next: Stored? { firstIndex < stored.count ? stored[firstIndex] : nil }

    /// Of the next one, if it is of a backfill: its id, and whether it is a marker.
    package var nextOfBackfill: (id: MessageID, isMarker: Bool)? {
        guard let next, next.order.isOfBackfill, firstPlaceIndex < places.count else { return nil }
        let (place, isMarker) = places[firstPlaceIndex]
        return (
            MessageID(
                systemID: identity.systemID, databaseOID: identity.databaseOID, timeline: timelines.timeline(of: next.position),
                transactionID: next.transactionID, position: next.position, kind: .backfilled(place)), isMarker
        )
    }

    /// Sequences behind the last message of ours that was read, which are not there any more.
    package var retiredAtEndCount: UInt64 { absentCount }

    // MARK: - Reading

    /// Takes a message's header in; they come in order of sequence, the proven one first if it is there.
    package mutating func read(_ sequence: UInt64, _ id: MessageID?, subject: @autoclosure () -> String) throws(Fault) -> Reading {
        if sequence <= provenSequence {
            // A record tells of a row of a backfill only behind which event it stands.
            guard let id, id.isOf(identity), id.streamPosition == provenOrder?.position else {
                throw .provenReplaced(sequence: sequence, found: id.map { "\($0)" } ?? subject())
            }
            return .proven
        }
        if sequence > readSequence + 1 { absent(readSequence + 1...sequence - 1) }
        readSequence = max(readSequence, sequence)
        guard let id, id.isOf(identity) else { return stray() }
        switch id.kind {
        case .late:
            if let original = id.lateOriginal { lateSequences[original.position] = sequence }
            return .marker
        case .marker:
            let subject = subject()
            if subject.hasSuffix("._slotstream.\(HoleMarker.token)") { holeMarkerSequence = sequence }
            // One in an event's place is compared as that.
            guard subject.hasSuffix("._slotstream.\(ReservedEntity.skipOperation)"), skips.contains(where: { $0.isOf(id) }),
                newest.map({ id.position > $0.position }) ?? true
            else { return .marker }
        case .replayed: return stray()
        case .backfilled, .event:
            // An old message, stored again: told, and no watermark.
            if let newest, id.order <= newest { return stray() }
        }
        guard timelines.timeline(of: id.position) == id.timeline else {
            if isMending { return stray() }
            throw .otherHistory(id, sequence: sequence)
        }
        newest = id.order
        if let place = id.backfillPlace { places.append((place, subject().hasSuffix(BackfillMarker.subjectSuffix))) }
        stored.append(
            Stored(
                sequence: sequence, transactionID: id.transactionID,
                retiredCount: UInt32(clamping: absentCount), retiredSequence: lastAbsent?.upperBound ?? 0,
                order: id.order))
        absentCount = 0
        return .ours
    }

    private mutating func stray() -> Reading {
        strayCount += 1
        return .stray
    }

    private mutating func absent(_ range: ClosedRange<UInt64>) {
        absentCount += UInt64(range.count)
        lastAbsent = range
    }

    /// Everything up to `end` was read, as far as it is there.
    /// - Parameter firstSequence: The stream's first sequence, asked for after the reading: what is absent before it retention has taken.
    package mutating func readAll(through end: UInt64, firstSequence: UInt64) throws(Fault) {
        if end > readSequence {
            absent(readSequence + 1...end)
            readSequence = end
        }
        guard let absent = lastAbsent, absent.upperBound >= firstSequence else { return }
        guard !isMending else {
            deleted = max(absent.lowerBound, firstSequence)...absent.upperBound
            for index in firstIndex..<stored.count { stored[index].retiredCount = 0 }
            absentCount = 0
            return
        }
        throw .deleted(max(absent.lowerBound, firstSequence)...absent.upperBound)
    }

    // MARK: - Comparing

    /// Takes the next event that was decoded; asked only while something waits to be compared.
    package mutating func decoded(_ order: StreamOrder, _ transactionID: TransactionID) -> Match? {
        guard let next else { return nil }
        let isIt = next.order == order && next.transactionID == transactionID
        guard isIt || order < next.order else { return .undecoded(next) }
        if isIt {
            removeFirst()
            return .stored(sequence: next.sequence)
        }
        guard next.retiredCount == 0 else {
            stored[firstIndex].retiredCount -= 1
            return .retired(sequence: next.retiredSequence - UInt64(next.retiredCount) + 1)
        }
        return .missing(before: next)
    }

    /// The next one has nothing to be compared with: it is passed over.
    package mutating func passOverNext() {
        if next != nil { removeFirst() }
    }

    /// Where the event of this change was stored late; nil if it was not.
    package func lateSequence(of position: Position) -> UInt64? { lateSequences[position] }

    private mutating func removeFirst() {
        if stored[firstIndex].order.isOfBackfill { firstPlaceIndex += 1 }
        firstIndex += 1
        if firstPlaceIndex == places.count {
            places.removeAll(keepingCapacity: false)
            firstPlaceIndex = 0
        }
        guard firstIndex == stored.count else { return }
        stored.removeAll(keepingCapacity: false)
        firstIndex = 0
    }
}

/// What is known of the stream's end before it is read.
package struct KnownEnd: Equatable, Sendable {
    /// The sequence of our own last message up to which everything of ours is proven: acknowledged where it had to be, or found by comparison.
    package var storedSequence: UInt64
    /// Its id; nil before the first.
    package var storedID: MessageID?
    /// Everything up to it was read and compared, or was acknowledged: behind `storedSequence` stand strays only.
    package var settledSequence: UInt64
    /// The stream's creation time: another one is another stream.
    package var created: String
    /// In the places of these changes markers stand.
    package var skips: [AcceptedSkip]

    package init(
        storedSequence: UInt64, storedID: MessageID?, settledSequence: UInt64? = nil, created: String,
        skips: [AcceptedSkip] = []
    ) {
        self.storedSequence = storedSequence
        self.storedID = storedID
        self.settledSequence = max(storedSequence, settledSequence ?? storedSequence)
        self.created = created
        self.skips = skips
    }
}
