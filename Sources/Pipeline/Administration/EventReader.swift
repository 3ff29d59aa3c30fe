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

    package struct Event: Sendable {
        package var sequence: UInt64
        package var subject: String
        /// The event's bytes: one JSON object.
        package var payload: [UInt8]
        /// `Nats-Msg-Id`.
        package var id: String?
    }

    private let link: NATSLink
    private let stream: String
    private let filter: SubjectFilter
    private let tablePrefixes: [String]
    private let entities: [String: String]
    /// nil before `open`.
    private var reader: MessageReader?
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
    package func open(from start: Start, entity: String? = nil, operation: String? = nil) throws(StreamerError) {
        var subject: String?
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

    /// The next event that fits; nil if none came within `timeout`, or before `open`.
    package func next(timeout: Duration) throws(StreamerError) -> Event? {
        guard let reader else { return nil }
        let deadline = Instant.now + timeout
        repeat {
            let message = try StreamerError.ofJetStream { () throws(JetStreamError) in
                try reader.next(timeout: max(.milliseconds(1), deadline.duration(since: .now)))
            }
            guard let message else { return nil }
            if fits(message) {
                return Event(
                    sequence: message.sequence, subject: message.subject, payload: message.payload,
                    id: message.messageID)
            }
        } while Instant.now < deadline
        return nil
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

    /// Messages in a row that are looked through for one of ours.
    private static let strayLimit: UInt64 = 1_000

    /// Stored order is commit order: the place is found by halving.
    private static func firstSequence(
        at lsn: LSN, in stream: String, _ connection: JetStreamConnection
    ) throws(JetStreamError) -> UInt64 {
        guard let state = try connection.streamInfo(stream)?.state else { return 1 }
        func position(_ sequence: UInt64) throws(JetStreamError) -> Position? {
            try connection.message(stream, sequence: sequence)?.messageID.flatMap { MessageID($0) }?.streamPosition
        }
        var low = max(1, state.firstSequence)
        var high = state.lastSequence &+ 1
        while low < high {
            let middle = low + (high - low) / 2
            // One that was deleted or is somebody else's says nothing: the next one of ours speaks for it. Where that is far, it begins too early rather than too late.
            var probe = middle
            var found = try position(probe)
            while found == nil, probe + 1 < high, probe - middle < strayLimit {
                probe += 1
                found = try position(probe)
            }
            if let found, found.commitLSN < lsn { low = probe + 1 } else { high = middle }
        }
        return low
    }
}
