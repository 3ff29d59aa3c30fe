import Capture
import History
import JetStreamPublishing
import PGOutput
import Threads
import WAL

/// The stream of their own into which a run's rows go that are not for the live one. It has a connection of its own, and belongs to the thread that reads tables.
///
/// Nothing is to be placed there: whoever applies all of it first, and then the live stream from the position in its first marker on, has every change behind the rows.
final class BackfillTarget {
    private let link: NATSLink
    private var append: ChainedAppend<NATSLink>
    private var encoder: ReadEncoder
    private var table: ReadEncoder.Table?
    /// The live event behind which the run began.
    private let previous: MessageID
    private let markerSubject: [UInt8]
    /// What the stream holds of the run.
    private(set) var tail: BackfillTail

    /// Connects, and looks what of the run is there.
    /// - Throws: as ``ReplayTarget`` and ``NATSLink``; `.cancelled` if it is no longer wanted.
    init(_ progress: BackfillProgress, _ session: BackfillReader.Session, isWanted: () -> Bool) throws(StreamerError) {
        let request = progress.request
        link = try NATSLink.connected(session.configuration.nats, stream: request.intoStream ?? "", isWanted: isWanted)
        let target = try ReplayTarget.find(
            prefix: request.intoPrefix, stream: request.intoStream, session.configuration, for: .backfill, isDryRun: false, over: link.connection)
        guard let previous = progress.base.flatMap({ MessageID($0) }) else { throw .cancelled }
        self.previous = previous
        markerSubject = Array((target.prefix + BackfillMarker.subjectSuffix).utf8)
        var capture = session.configuration.capture
        capture.subjectPrefix = target.prefix
        let payloadLimit = link.connection.payloadLimit(messageSizeLimit: target.maxMessageSize, messageIDByteCount: 192, isBatched: false)
        do throws(CaptureError) {
            encoder = try ReadEncoder(
                configuration: capture, functions: session.configuration.captureFunctions, identity: session.identity, payloadLimit: payloadLimit)
        } catch {
            throw .capture(error)
        }
        append = ChainedAppend(
            link, stream: target.stream, created: target.created, identity: session.identity, behind: target.lastSequence, inFlightLimit: 1_024)
        tail = progress.stored
        guard target.lastSequence > 0 else { return }
        var tail = tail
        let marker = Array(BackfillMarker.subjectSuffix.utf8)
        try StreamerError.ofJetStream { () throws(JetStreamError) in
            try link.connection.readHeaders(target.stream, 1...target.lastSequence, consumer: StreamReading.consumer, isWanted: { true }) { _, messageID, subject in
                if let messageID, let id = MessageID(header: messageID), id.isOf(session.identity), let place = id.backfillPlace {
                    tail.take(place, id: messageID, isMarker: subject.withUnsafeBufferPointer { $0.suffix(marker.count).elementsEqual(marker) })
                }
                return true
            }
        }
        self.tail = tail
    }

    deinit { link.connection.close() }

    /// How the next rows are written.
    func describe(_ relation: Relation, _ description: TableDescription, operation: String) {
        table = encoder.table(relation, description, operation: operation) { _ in 0 }
    }

    /// Stores a marker.
    func store(_ body: BackfillMarker.Backfill, tableOID: UInt32, filenode: UInt32, block: UInt32, isWanted: () -> Bool) throws(StreamerError) {
        let place = BackfillPlace(run: tail.run, count: tail.count + 1, tableOID: tableOID, filenode: filenode, block: block)
        let id = previous.backfilled(place)
        let payload = BackfillMarker(id: id, timestamp: PostgresTimestamp.now.description, backfill: body).json()
        append.add(AppendedEvent(subject: markerSubject, messageID: id, payload: payload))
        try append.finish(isWanted: isWanted)
        let text = Array(id.utf8)
        tail.take(place, id: text.span, isMarker: true)
    }

    /// Stores a chunk's rows.
    /// - Parameter cursor: Where the walk stands, for rows that are read again.
    /// - Throws: `.capture` for a row that cannot be an event: those before it are stored.
    func store(_ chunk: BackfillChunk, cursor: ReadRows.TupleID, isWanted: () -> Bool) throws(StreamerError) {
        guard let table else { return }
        encoder.begin(run: tail.run, lsn: chunk.lsn, readAt: chunk.readAt)
        encoder.remember(chunk.casts.requests, chunk.casts.answers)
        var sink = AppendedEvents()
        var next = tail
        var failure: CaptureError?
        for index in 0..<chunk.rows.count {
            let id = chunk.end == nil ? cursor : chunk.rows.ids[index]
            let place = BackfillPlace(
                run: next.run, count: next.count + 1, tableOID: chunk.table.oid, filenode: chunk.filenode, block: id.block, offset: id.offset)
            let text: [UInt8]
            do throws(CaptureError) {
                text = try encoder.write(index, of: chunk.rows, table, behind: previous, place, readAt: chunk.readAt, into: &sink)
            } catch {
                failure = error
                break
            }
            next.take(place, id: text.span, isMarker: false)
        }
        encoder.forgetCasts()
        for event in sink.events { append.add(event) }
        try append.finish(isWanted: isWanted)
        tail = next
        if let failure { throw .capture(failure) }
    }

    /// Keeps events as they are stored by `ChainedAppend`.
    private struct AppendedEvents: EventSink {
        var events: [AppendedEvent] = []

        mutating func accept(_ header: EventHeader, subject: RawSpan, messageID: RawSpan, payload: RawSpan) {
            events.append(
                AppendedEvent(
                    subject: subject.withUnsafeBytes { Array($0) }, messageID: messageID.withUnsafeBytes { String(decoding: $0, as: UTF8.self) },
                    payload: payload.withUnsafeBytes { Array($0) }))
        }
    }
}
