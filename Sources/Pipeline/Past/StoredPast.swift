import Capture
import History
import JetStreamPublishing
import WAL

/// The live stream as it was when a command began: what it holds, and where in it a position or a time lies.
final class StoredPast {
    /// Clocks of PostgreSQL and JetStream may differ by so much.
    private static let clockTolerance = Duration.seconds(60)
    /// Messages in a row that are looked through for one of ours.
    private static let strayLimit: UInt64 = 1_000

    /// An event that is stored.
    struct Place: Sendable, Equatable {
        var sequence: UInt64
        var id: MessageID
        var commitTimestamp: PostgresTimestamp?

        var position: Position { id.position }
    }

    let connection: JetStreamConnection
    let name: String
    private(set) var firstSequence: UInt64
    let lastSequence: UInt64
    /// All that commits before it is stored, or accepted as missing.
    let provenLSN: LSN
    let record: CheckpointRecord
    /// nil: no limit.
    let maxMessageSize: Int?
    /// Whose changes the events are; nil: there is none to tell.
    var identity: SourceIdentity? {
        (record.lastMessageID ?? first?.id).map { SourceIdentity(systemID: $0.systemID, databaseOID: $0.databaseOID, databaseName: "") }
    }
    /// The oldest event that is still there; nil: there is none.
    private(set) var first: Place?

    /// - Throws: `.stop` where there is no such stream, or no record of it.
    init(_ configuration: StreamerConfiguration, over connection: JetStreamConnection) throws(StreamerError) {
        self.connection = connection
        name = configuration.stream.name
        let (record, _, tail) = try ServerFacts.readStored(name, connection)
        let info = try StreamerError.ofJetStream { () throws(JetStreamError) in try connection.streamInfo(configuration.stream.name) }
        guard let info, tail != nil else {
            throw .stop(
                .configuration, what: "stream \(name) does not exist",
                remedy: "Correct transport.nats.stream_name. If the stream was lost: `slotstream rewind --dry-run`")
        }
        guard let record, !record.isClaim else {
            throw .stop(
                .configuration, what: "the bucket \(CheckpointRecord.bucket) has no checkpoint record for stream \(name)",
                remedy: "Show what is missing: `slotstream status`")
        }
        self.record = record
        provenLSN = record.confirmedLSN
        firstSequence = max(1, info.state.firstSequence)
        lastSequence = info.state.lastSequence
        maxMessageSize = info.config.messageSizeLimit
        first = try StreamerError.ofJetStream { () throws(JetStreamError) -> Place? in try self.place(atOrBehind: firstSequence) }
    }

    /// Whether the stream's own limits have removed by now what stood at `position`.
    func isRetired(_ position: Position) -> Bool {
        guard firstSequence > 1 else { return false }
        guard let first else { return true }
        // What is of a backfill stands behind the event at its position.
        return position < first.position || position == first.position && first.id.backfillPlace != nil
    }

    /// Looks again where the stream begins: its limits may work all the while.
    func lookAgain() throws(StreamerError) {
        let (connection, name) = (connection, name)
        let info = try StreamerError.ofJetStream { () throws(JetStreamError) in try connection.streamInfo(name) }
        guard let info, info.state.firstSequence > firstSequence else { return }
        firstSequence = info.state.firstSequence
        first = try StreamerError.ofJetStream { () throws(JetStreamError) -> Place? in try self.place(atOrBehind: self.firstSequence) }
    }

    /// The first event of ours at or behind `sequence`; nil: none within reach.
    func place(atOrBehind sequence: UInt64) throws(JetStreamError) -> Place? {
        guard firstSequence <= lastSequence else { return nil }
        return try Self.place(atOrBehind: sequence, in: name, firstSequence...lastSequence, connection)
    }

    /// The first sequence at which an event of `lsn`, or of what commits behind it, can stand.
    func firstSequence(at lsn: LSN) throws(JetStreamError) -> UInt64 {
        guard firstSequence <= lastSequence else { return firstSequence }
        return try Self.firstSequence(at: lsn, in: name, firstSequence...lastSequence, connection)
    }

    private static func place(
        atOrBehind sequence: UInt64, in stream: String, _ range: ClosedRange<UInt64>, _ connection: JetStreamConnection
    ) throws(JetStreamError) -> Place? {
        var probe = max(sequence, range.lowerBound)
        while probe <= range.upperBound, probe - sequence < strayLimit {
            if let message = try connection.message(stream, sequence: probe), let id = message.messageID.flatMap({ MessageID($0) }),
                id.streamPosition != nil
            {
                return Place(sequence: probe, id: id, commitTimestamp: StreamTail.commitTimestamp(of: message))
            }
            probe += 1
        }
        return nil
    }

    /// The first sequence of `range` at which an event of `lsn`, or of what commits behind it, can stand; the one behind it: none. Stored order is commit order: it is
    /// found by halving.
    static func firstSequence(
        at lsn: LSN, in stream: String, _ range: ClosedRange<UInt64>, _ connection: JetStreamConnection
    ) throws(JetStreamError) -> UInt64 {
        var low = range.lowerBound
        var high = range.upperBound &+ 1
        while low < high {
            let middle = low + (high - low) / 2
            // One that was deleted or is somebody else's says nothing: the next one of ours speaks for it. Where that is far, it begins too early rather than too late.
            let found = try place(atOrBehind: middle, in: stream, range, connection)
            if let found, found.sequence < high, found.position.commitLSN < lsn { low = found.sequence + 1 } else { high = middle }
        }
        return low
    }

    /// The sequences in which all lies that commits from `lsn` on and before `end`; nil: none is left.
    func sequences(from lsn: LSN, before end: LSN) throws(StreamerError) -> ClosedRange<UInt64>? {
        guard lastSequence >= firstSequence else { return nil }
        return try StreamerError.ofJetStream { () throws(JetStreamError) in
            let first = lsn.isValid ? try firstSequence(at: lsn) : firstSequence
            let last = end > provenLSN ? lastSequence : try firstSequence(at: end) - 1
            return first <= last ? first...last : nil
        }
    }

    /// Where the ends of a range lie.
    func resolve(_ range: EventRange) throws(StreamerError) -> ResolvedRange {
        var resolved = ResolvedRange()
        switch range.from {
        case .lsn(let lsn)?: resolved.fromPosition = Position(commitLSN: lsn, ordinal: 0)
        case .time(let time)?: resolved.fromTime = time
        case .sequence(let sequence)?: resolved.fromPosition = try position(atOrBehind: sequence)
        case nil: break
        }
        switch range.to {
        case .lsn(let lsn)?: resolved.toPosition = Position(commitLSN: lsn, ordinal: .max)
        case .time(let time)?: resolved.toTime = time
        case .sequence(let sequence)?: resolved.toPosition = try position(atOrBefore: sequence)
        case nil: break
        }
        return resolved
    }

    private func position(atOrBehind sequence: UInt64) throws(StreamerError) -> Position {
        let place = try StreamerError.ofJetStream { () throws(JetStreamError) -> Place? in try self.place(atOrBehind: sequence) }
        guard let place else { throw noEvent(sequence) }
        // The event behind which a row of a backfill stands is before it.
        let isBehind = place.id.backfillPlace != nil
        return Position(commitLSN: place.position.commitLSN, ordinal: place.position.ordinal + (isBehind ? 1 : 0))
    }

    private func position(atOrBefore sequence: UInt64) throws(StreamerError) -> Position {
        var probe = min(sequence, lastSequence)
        while probe >= firstSequence, sequence - probe < Self.strayLimit {
            let message = try StreamerError.ofJetStream { () throws(JetStreamError) in try connection.message(name, sequence: probe) }
            if let position = message?.messageID.flatMap({ MessageID($0) })?.streamPosition { return position }
            probe -= 1
        }
        throw noEvent(sequence)
    }

    private func noEvent(_ sequence: UInt64) -> StreamerError {
        .stop(
            .configuration,
            what: "stream \(name) has no event at sequence \(sequence): the stream holds the sequences \(firstSequence) to \(lastSequence)",
            remedy: "Name a sequence between these, or a time such as --from-time 1h")
    }

    /// Only what commits before it is read of the range, and is known to be stored.
    func end(of range: ResolvedRange) -> LSN {
        let last = range.toPosition.commitLSN.rawValue
        return last == .max ? provenLSN : min(provenLSN, LSN(last + 1))
    }

    /// Nothing of the range commits before it; `0/0`: not known.
    func lowerLSN(of range: ResolvedRange) throws(StreamerError) -> LSN {
        if range.fromPosition.commitLSN.isValid { return range.fromPosition.commitLSN }
        guard let time = range.fromTime else { return .invalid }
        // Stored later than committed, but for the clocks.
        let early = PostgresTimestamp(unixMicroseconds: time.unixMicroseconds - Int64(Self.clockTolerance / .microseconds(1)))
        let message = try StreamerError.ofJetStream { () throws(JetStreamError) in
            try connection.openReader(name, from: .time(early.description)).next(timeout: .seconds(2))
        }
        guard let message else { return provenLSN }
        // Retention may have removed what is older and is meant too.
        guard message.sequence > firstSequence else { return .invalid }
        let place = try StreamerError.ofJetStream { () throws(JetStreamError) -> Place? in try self.place(atOrBehind: message.sequence) }
        return place?.position.commitLSN ?? .invalid
    }
}
