import Capture
package import History
import JetStreamPublishing
import Threads
package import WAL

/// Reads events as they are stored, in order: what `tail` shows.
package final class EventReader {
    /// Where to begin.
    package enum Start: Sendable, Equatable {
        case now
        case first
        case sequence(UInt64)
        /// The first event of a transaction that commits at or after it.
        case lsn(LSN)
        /// RFC 3339.
        case time(String)
    }

    /// Where to end: the last one there is included.
    package enum End: Sendable, Equatable {
        case sequence(UInt64)
        /// The last event of the last transaction that commits at or before it.
        case lsn(LSN)
        /// Stored at or before it.
        case time(PostgresTimestamp)
    }

    /// What came of waiting for the next event.
    package enum Step: Sendable {
        case event(Event)
        /// None has come yet.
        case nothing
        /// There is, and will be, none up to the end.
        case over
    }

    package struct Event: Sendable {
        package var sequence: UInt64
        package var subject: String
        /// The event's bytes: one JSON object.
        package var payload: [UInt8]
        /// `Nats-Msg-Id`.
        package var id: String?
        package var storedAt: PostgresTimestamp?

        package init(sequence: UInt64, subject: String, payload: [UInt8], id: String?, storedAt: PostgresTimestamp?) {
            self.sequence = sequence
            self.subject = subject
            self.payload = payload
            self.id = id
            self.storedAt = storedAt
        }
    }

    private let link: NATSLink
    private let stream: String
    private let filter: SubjectFilter
    private let tablePrefixes: [String]
    private let entities: [String: String]
    /// nil before `open`.
    private var reader: MessageReader?
    /// What nats-server filters by; nil: everything.
    private var subject: String?
    private var ends: [End] = []
    /// Of the last message that was read, shown or not.
    private var lastReadSequence: UInt64 = 0
    /// What each event has to be looked at for, because subjects do not tell.
    private var wanted: (entity: String?, operation: String?) = (nil, nil)

    /// Connects; `open` begins to read.
    /// - Throws: `.stop` where there is no such stream; what the connection throws.
    package init(_ configuration: StreamerConfiguration) throws(StreamerError) {
        let template: SubjectTemplate
        do throws(CaptureError) {
            template = try SubjectTemplate(configuration.capture.subjectTemplate)
        } catch {
            throw .capture(error)
        }
        filter = SubjectFilter(template, prefix: configuration.capture.subjectPrefix)
        tablePrefixes = configuration.capture.tablePrefixes
        entities = configuration.capture.entities
        stream = configuration.stream.name
        link = try NATSLink.connected(configuration.nats, stream: configuration.stream.name)
        let found = try StreamerError.ofJetStream { () throws(JetStreamError) in try link.connection.streamInfo(stream) }
        guard found != nil else {
            throw .stop(
                .configuration, what: "stream \(stream) does not exist",
                remedy: "Correct transport.nats.stream_name, or create the stream: `slotstream setup`")
        }
    }

    deinit {
        reader?.close()
        link.connection.close()
    }

    /// The entity that is meant by `name`, among those of which the stream holds events.
    package func entity(_ name: String) throws(StreamerError) -> NameSearch.Found {
        guard filter.tellsEntity else { return .exactly }
        let forms = NameSearch.forms(ofEntity: name, tablePrefixes, entities)
        return try find(name, filter.subject(entity: name, operation: nil), alike: forms) { filter.entity(in: $0) }
    }

    /// The operation that is meant by `name`, among those of which the stream holds events.
    package func operation(_ name: String) throws(StreamerError) -> NameSearch.Found {
        guard filter.tellsOperation else { return .exactly }
        let found = try find(name, filter.subject(entity: nil, operation: name), alike: [NameSearch.folded(name)]) {
            filter.operation(in: $0)
        }
        // One that there may be of any table is waited for.
        let known = name.uppercased()
        if case .absent = found, NameSearch.operations.contains(known) { return known == name ? .exactly : .alike(known) }
        return found
    }

    /// Begins to read.
    /// - Parameters:
    ///   - entity: Only events of it; nil: all.
    ///   - operation: Only events of it; nil: all.
    ///   - end: nil: wherever the stream ends.
    ///   - isFollowing: Whether to go on at the end that the stream has now, with what is stored later.
    package func open(
        from start: Start, entity: String? = nil, operation: String? = nil, until end: End? = nil, isFollowing: Bool = true
    ) throws(StreamerError) {
        ends = end.map { [$0] } ?? []
        if !isFollowing { ends.append(.sequence(try streamEnd().sequence)) }
        if entity != nil || operation != nil {
            subject = filter.subject(entity: entity, operation: operation)
            if subject == nil { wanted = (entity, operation) }
        }
        reader = try StreamerError.ofJetStream { () throws(JetStreamError) in
            let place: MessageReader.Start =
                switch start {
                case .now: .new
                case .first: .first
                case .sequence(let sequence): .sequence(sequence)
                case .time(let time): .time(time)
                case .lsn(let lsn): .sequence(try Self.firstSequence(at: lsn, in: stream, link.connection))
                }
            return try link.connection.openReader(stream, from: place, filter: subject)
        }
    }

    /// Waits for the next event that fits, no longer than `timeout`.
    package func next(timeout: Duration) throws(StreamerError) -> Step {
        guard let reader else { return .over }
        let deadline = Instant.now + timeout
        // Where there is an end, whether it is reached is asked as soon as nothing comes.
        let patience = ends.isEmpty ? timeout : min(timeout, Self.endPatience)
        repeat {
            let message = try StreamerError.ofJetStream { () throws(JetStreamError) in
                try reader.next(timeout: max(.milliseconds(1), min(patience, deadline.duration(since: .now))))
            }
            guard let message else {
                if try isAtEnd() { return .over }
                continue
            }
            lastReadSequence = message.sequence
            if ends.contains(where: { $0.lies(before: message) }) { return .over }
            if fits(message) {
                return .event(
                    Event(
                        sequence: message.sequence, subject: message.subject, payload: message.payload,
                        id: message.messageID, storedAt: message.storedAt))
            }
        } while Instant.now < deadline
        return .nothing
    }

    /// The stream's last sequence, and when its last message was stored; nil: nothing ever was.
    package func streamEnd() throws(StreamerError) -> (sequence: UInt64, storedAt: PostgresTimestamp?) {
        let info = try StreamerError.ofJetStream { () throws(JetStreamError) in try link.connection.streamInfo(stream) }
        guard let state = info?.state, state.lastSequence > 0 else { return (0, nil) }
        return (state.lastSequence, PostgresTimestamp(rfc3339: state.lastTime))
    }

    /// How long nothing comes before it is asked whether that is the end.
    private static let endPatience = Duration.milliseconds(200)
    /// Between two machines' clocks.
    private static let clockTolerance: Int64 = 1_000_000

    /// Whether one of the ends is behind all that is stored, and everything before it was read.
    private func isAtEnd() throws(StreamerError) -> Bool {
        guard !ends.isEmpty else { return false }
        let last = try streamEnd().sequence
        let isPassed = try StreamerError.ofJetStream { () throws(JetStreamError) in
            let newest = try link.connection.lastMessage(stream)
            return ends.contains { end in
                switch end {
                case .sequence(let sequence): last >= sequence
                case .lsn(let lsn): newest?.commitLSN.map { $0 > lsn } ?? false
                case .time(let time): PostgresTimestamp.now.rawValue > time.rawValue + Self.clockTolerance
                }
            }
        }
        guard isPassed else { return false }
        let newest = try StreamerError.ofJetStream { () throws(JetStreamError) in
            try link.connection.lastMessage(stream, subject: subject ?? ">")
        }
        guard let newest else { return true }
        // It may lie before where the reading began.
        return lastReadSequence == 0 ? reader?.pendingCount == 0 : newest.sequence <= lastReadSequence
    }

    private func find(
        _ name: String, _ subject: String?, alike forms: Set<String>, value: (String) -> String?
    ) throws(StreamerError) -> NameSearch.Found {
        try StreamerError.ofJetStream { () throws(JetStreamError) in
            if let subject, try link.connection.lastMessage(stream, subject: subject) != nil { return .exactly }
            let (counts, isWhole) = try link.connection.subjects(stream, matching: filter.pattern)
            return NameSearch.find(forms, among: Set(counts.keys.compactMap(value)), isWhole: isWhole)
        }
    }

    private func fits(_ message: StoredMessage) -> Bool {
        if wanted.entity == nil, wanted.operation == nil { return true }
        guard let event = EventFormat.read(message.payload, subject: message.subject) else { return false }
        return (wanted.entity.map { NameSearch.folded($0) == NameSearch.folded(event.entity) } ?? true)
            && (wanted.operation.map { NameSearch.folded($0) == NameSearch.folded(event.operation) } ?? true)
    }

    /// Where the first event stands that commits at or after `lsn`.
    private static func firstSequence(
        at lsn: LSN, in stream: String, _ connection: JetStreamConnection
    ) throws(JetStreamError) -> UInt64 {
        guard let state = try connection.streamInfo(stream)?.state else { return 1 }
        let first = max(1, state.firstSequence)
        guard first <= state.lastSequence else { return first }
        return try StoredPast.firstSequence(at: lsn, in: stream, first...state.lastSequence, connection)
    }
}

extension EventReader.End {
    /// Whether a message is beyond it.
    fileprivate func lies(before message: StoredMessage) -> Bool {
        switch self {
        case .sequence(let sequence): message.sequence > sequence
        // What is not ours stands with what is before it.
        case .lsn(let lsn): message.commitLSN.map { $0 > lsn } ?? false
        case .time(let time): message.storedAt.map { $0 > time } ?? false
        }
    }
}

extension StoredMessage {
    /// Of the transaction that it is of; nil: it is not ours, or tells none.
    fileprivate var commitLSN: LSN? { messageID.flatMap { MessageID($0) }?.streamPosition?.commitLSN }

    fileprivate var storedAt: PostgresTimestamp? { storedAtNanoseconds.map { PostgresTimestamp(unixMicroseconds: $0 / 1_000) } }
}
