import Capture
import History
import PGOutput
import Synchronization
import Threads
import WAL

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Puts the rows of a backfill into the stream, between transactions and where their snapshot belongs, and leaves out those that an event has overtaken.
///
/// It belongs to the thread that reads the stream, and never waits: what there is no room for stays where it is.
final class BackfillPlacer: RowWitness {
    /// So few events wait to be stored, and so small a part of the window is taken, where rows go out: what is live waits behind no more than those.
    static let shareCount = 512
    static let byteShare = 4
    /// For so long after a live event rows give way to the next ones; and as often it is looked whether they may go on.
    static let liveTime = Duration.milliseconds(250)
    static let givingWayInterval = Duration.milliseconds(4)

    private let exchange: BackfillExchange
    private let handover: Handover
    private let window: RetainedWindow
    private let identity: SourceIdentity
    private let timelines: TimelineHistory
    private let markerSubject: [UInt8]
    private let failpoints: Failpoints
    /// Behind what the first message stands while nothing was appended.
    private let beginning: MessageID

    private var encoder: ReadEncoder
    private var progress: BackfillProgress?
    private var finished: [FinishedBackfill]
    private var covered: [String]?
    private var isFirstDue: Bool?
    private var watched: RelationID?
    private var touched = TouchedRows(keyColumns: [], collectsRereads: false)
    private var table: ReadEncoder.Table?
    private var appended: BackfillTail?
    /// What a predecessor stored is known.
    private(set) var isReady = false
    /// What is in hand, by its number; what follows is of it.
    private var inHand: UInt64 = 0
    /// The rows that are put in now: the next of them.
    private var nextRow = 0
    /// Their snapshot was taken into account.
    private var isShown = false
    /// What the record has to say before it goes on.
    private var awaitedVersion: UInt64?
    /// The marker that is to be stored before it goes on, as the window counts.
    private var awaitedCount: UInt64?
    private var lastLiveAt: Instant?
    private var givingWay = GivingWay(at: .now)
    /// Rows that may go out now beside live events; nil: there are none.
    private var allowance: Int?
    /// As the other thread knows it.
    private var toldRate: Double?
    /// Behind the last row that went out, as the window counts.
    private var readEnd: UInt64 = 0
    /// Nothing of the stream may come before these rows are out.
    private(set) var isHolding = false

    /// - Parameters:
    ///   - record: As it is stored.
    ///   - known: What is proven of the stream's end.
    init(
        _ exchange: BackfillExchange, record: CheckpointRecord, known: KnownEnd, identity: SourceIdentity, timelines: TimelineHistory,
        encoder: consuming ReadEncoder, subjectPrefix: String, window: RetainedWindow, handover: Handover, failpoints: Failpoints
    ) {
        self.exchange = exchange
        self.handover = handover
        self.window = window
        self.identity = identity
        self.timelines = timelines
        self.encoder = encoder
        self.failpoints = failpoints
        markerSubject = Array((subjectPrefix + BackfillMarker.subjectSuffix).utf8)
        let lsn = LSN(record.genesis.lsn) ?? record.confirmedLSN
        beginning =
            known.storedID
            ?? MessageID(
                systemID: identity.systemID, databaseOID: identity.databaseOID, timeline: timelines.timeline(containing: lsn), transactionID: .none,
                position: Position(commitLSN: lsn, ordinal: 0))
        progress = record.backfill
        finished = record.finishedBackfills ?? []
        covered = record.backfilledTables
        isFirstDue = record.isFirstBackfillDue
        // What comes before somebody goes on with the run may be all that is told of a row.
        if let progress, let pass = progress.pass, let table = progress.table {
            watched = RelationID(table.publishedOid)
            touched = TouchedRows(keyColumns: pass.keyColumns, collectsRereads: pass.hasUnsentColumns, rereads: progress.rereadKeys)
        }
    }

    // MARK: - The stream

    func keyColumns(of relation: RelationID) -> [String]? { relation == watched ? touched.keyColumns : nil }

    func changed(_ change: RowChange) {
        touched.changed(change)
        switch touched.takeOverflow() {
        case .pending:
            touched.beginReading()
            giveUp(.pending)
        case .rereads:
            touched.forgetRereads()
            progress?.isStale = true
            if touched.isReading { touched.beginReading() }
            giveUp(.table(why: "more rows changed than can be remembered"))
        case nil: break
        }
    }

    func truncated(_ relation: RelationID, by transactionID: TransactionID, at position: Position) {
        touched.forgetRereads()
        if touched.isReading { touched.beginReading() }
        giveUp(.truncated(relation))
    }

    private func giveUp(_ reset: BackfillExchange.Reset) {
        letGo()
        // That a table has to begin anew outlives the reset.
        exchange.update { [word] in $0.said(word) }
        exchange.reset(reset)
    }

    /// An event of a change was handed on, at this time at the latest.
    func handedOn(at now: Instant) { lastLiveAt = now }

    private func letGo() {
        inHand = 0
        nextRow = 0
        isShown = false
        isHolding = false
        awaitedVersion = nil
        awaitedCount = nil
    }

    // MARK: - Putting in

    /// Whether something may wait.
    var hasWork: Bool { exchange.hasWork }

    /// Until where the stream has to be decoded before something goes out that waits; nil: nothing waits for that.
    var awaitedLSN: LSN? {
        guard hasWork, case .rows(let chunk)? = exchange.first()?.work else { return nil }
        return chunk.lsn
    }

    /// Rows wait for their turn beside live events: it is looked for them so soon.
    var restTime: Duration? { allowance != nil && hasWork ? Self.givingWayInterval : nil }

    /// Does what can be done now. Called only between transactions.
    /// - Parameters:
    ///   - provenLSN: All that commits before it was handed on.
    ///   - kindIndex: What events of an entity and an operation are counted by.
    func step(provenLSN: LSN, kindIndex: (_ entity: String, _ operation: String) -> Int32) {
        guard prepare() else { return }
        if markerKindIndex == 0 { markerKindIndex = kindIndex(ReservedEntity.name, ReservedEntity.backfillOperation) }
        if handover.hasLostRead.exchange(false, ordering: .acquiring) {
            progress?.isStale = true
            giveUp(.table(why: "another writer took the place of a row in the stream"))
        }
        giveWay(at: .now)
        while let (number, work) = exchange.first() {
            if number != inHand {
                letGo()
                inHand = number
            }
            guard take(work, provenLSN, kindIndex) else { return }
            exchange.done(number)
        }
        letGo()
    }

    /// Once, when what a predecessor stored is known.
    private func prepare() -> Bool {
        if isReady { return true }
        guard handover.isCompared.load(ordering: .acquiring) else { return false }
        isReady = true
        if let stored = handover.storedBackfill.withLock({ $0 }), stored.run == progress?.run, progress?.isForLiveStream == true {
            progress?.stored = stored
        }
        appended = progress?.stored
        if appended?.hasHole == true { progress?.isStale = true }
        if let stored = progress?.cursor { cursor = ReadRows.TupleID(block: stored.block, offset: stored.offset) }
        exchange.update { [word, appended, cursor] in $0.ready(word, appended, cursor: cursor) }
        return true
    }

    /// - Returns: Whether it is done.
    private func take(_ work: BackfillWork, _ provenLSN: LSN, _ kindIndex: (String, String) -> Int32) -> Bool {
        switch work {
        case .progress(let next):
            return record {
                if next.run != progress?.run || next.tableIndex != progress?.tableIndex || next.pass?.number != progress?.pass?.number
                    || next.pass?.filenode != progress?.pass?.filenode
                {
                    cursor = ReadRows.TupleID(block: 0, offset: 0)
                }
                // Nobody watches the table before any more.
                if next.pass == nil, let table = next.table, RelationID(table.publishedOid) != watched { watched = nil }
                let isStale = next.run == progress?.run && next.tableIndex == progress?.tableIndex ? progress?.isStale : nil
                let stored = next.run == progress?.run ? progress?.stored : nil
                progress = next
                progress?.isStale = isStale
                if let stored { progress?.stored = stored }
                progress?.rereads = next.pass == nil ? nil : rereadTexts()
                if progress?.base == nil { progress?.base = previous.description }
                if appended?.run != next.run { appended = BackfillTail(run: next.run) }
            }
        case .note(let text):
            progress?.why = text
            handover.backfill.withLock { kept in
                kept.progress = progress
                kept.version += 1
            }
            exchange.update { [word] in $0.said(word) }
            handover.wakePublisher()
            return true
        case .finished(let ended):
            stopGivingWay()
            return record {
                var ended = ended
                if progress?.isForLiveStream == true { ended.sequence = handover.storedSequence.load(ordering: .acquiring) }
                finished = (finished + [ended]).suffix(FinishedBackfill.limit)
                // Asked for only where the configuration names tables.
                if covered != nil || isFirstDue == true { covered = Set((covered ?? []) + ended.tables).sorted() }
                progress = nil
                watched = nil
                table = nil
                touched = TouchedRows(keyColumns: [], collectsRereads: false)
            }
        case .covered(let tables):
            return record {
                covered = Set((covered ?? []) + tables).sorted()
                isFirstDue = false
            }
        case .watch(let relation, let rows):
            // What was collected of the same table stays.
            if watched != relation || touched.keyColumns != rows.keyColumns { touched = rows }
            watched = relation
            touched.beginReading()
            failpoints.reached(.tableTracked)
            return true
        case .pause:
            touched.endReading()
            stopGivingWay()
            return true
        case .anew:
            progress?.isStale = nil
            return true
        case .describe(let relation, let description, let operation):
            table = encoder.table(relation, description, operation: operation) { kindIndex($0, operation) }
            return true
        case .shown(let snapshot):
            touched.shown(by: snapshot)
            exchange.update { [touched] in $0.readAgain(touched) }
            return true
        case .elsewhere(let tail, let chunk):
            progress?.stored = tail
            appended = tail
            if let chunk { settle(chunk) }
            if let stored = progress?.cursor { cursor = ReadRows.TupleID(block: stored.block, offset: stored.offset) }
            if let end = chunk?.end { cursor = end }
            handover.backfill.withLock { $0.progress = progress }
            exchange.update { [word, touched, tail, cursor] state in
                state.said(word)
                state.walked(to: cursor)
                state.readAgain(touched)
                state.appended(tail)
            }
            return true
        case .marker(let body, let tableOID, let filenode, let block): return put(body, tableOID, filenode, block)
        case .rows(let chunk): return put(chunk, provenLSN)
        }
    }

    private var word: BackfillWord { BackfillWord(progress: progress, finished: finished, covered: covered, isFirstDue: isFirstDue) }

    /// Has the record say it.
    /// - Returns: Whether it does.
    private func record(_ change: () -> Void) -> Bool {
        guard let version = awaitedVersion else {
            change()
            exchange.update { [word, appended, cursor] in
                $0.said(word)
                $0.walked(to: cursor)
                if let appended { $0.appended(appended) }
            }
            let version = handover.backfill.withLock { [word] kept in
                let version = kept.version + 1
                kept = word
                kept.version = version
                return version
            }
            awaitedVersion = version
            handover.wakePublisher()
            return false
        }
        guard handover.recordedBackfill.load(ordering: .acquiring) >= version else { return false }
        awaitedVersion = nil
        return true
    }

    /// Puts a marker in, behind what is stored of the run, and waits until it is stored itself.
    private func put(_ body: BackfillMarker.Backfill, _ tableOID: UInt32, _ filenode: UInt32, _ block: UInt32) -> Bool {
        if let count = awaitedCount {
            guard window.releasedCount.load(ordering: .acquiring) >= count, !handover.hasLostRead.load(ordering: .acquiring) else { return false }
            awaitedCount = nil
            return true
        }
        // What its count is of is stored, all of it.
        guard window.releasedCount.load(ordering: .acquiring) >= readEnd, !handover.hasLostRead.load(ordering: .acquiring) else { return false }
        append(body, tableOID, filenode, block)
        exchange.update { [appended] in if let appended { $0.appended(appended) } }
        awaitedCount = window.appendedCount.load(ordering: .relaxed)
        return false
    }

    private func append(_ body: BackfillMarker.Backfill, _ tableOID: UInt32, _ filenode: UInt32, _ block: UInt32) {
        guard let run = progress?.run else { return }
        let previous = previous
        let place = BackfillPlace(run: run, count: (appended?.count ?? 0) + 1, tableOID: tableOID, filenode: filenode, block: block)
        let id = Array(previous.backfilled(place).utf8)
        let now = PostgresTimestamp.now
        let payload = BackfillMarker(id: previous.backfilled(place), timestamp: now.description, backfill: body).json()
        let header = EventHeader(
            position: previous.position, transactionID: previous.transactionID, commitTimestamp: now, kindIndex: markerKindIndex, isLast: true, run: run,
            count: place.count)
        let subject = markerSubject
        window.accept(header, subject: subject.span.bytes, messageID: id.span.bytes, payload: payload.span.bytes)
        appended?.take(place, id: id.span, isMarker: true)
    }

    private var markerKindIndex: Int32 = 0

    /// Puts rows in, as far as there is room.
    /// - Returns: Whether all are in.
    private func put(_ chunk: BackfillChunk, _ provenLSN: LSN) -> Bool {
        guard provenLSN >= chunk.lsn, let table, let run = progress?.run else { return false }
        if !isShown {
            isShown = true
            nextRow = 0
            touched.shown(by: chunk.snapshot)
            if chunk.isWhole {
                guard !touched.hasPending else {
                    touched.beginReading()
                    giveUp(.pending)
                    return false
                }
                isHolding = true
                givingWay.letGo(at: .now)
                var body = BackfillMarker.Backfill(id: run, .whole)
                body.table = chunk.table.published
                body.oid = chunk.table.oid
                if chunk.table.oid != chunk.table.publishedOid { body.partition = chunk.table.name }
                append(body, chunk.table.oid, chunk.filenode, 0)
            }
            encoder.begin(run: run, lsn: chunk.lsn, readAt: chunk.readAt)
            encoder.remember(chunk.casts.requests, chunk.casts.answers)
        }
        let previous = previous
        let first = window.appendedCount.load(ordering: .relaxed)
        defer {
            readEnd = window.appendedCount.load(ordering: .relaxed)
            if readEnd > first {
                handover.wakePublisher()
                exchange.update { [cursor, appended] state in
                    state.walked(to: cursor)
                    if let appended { state.appended(appended) }
                }
            }
        }
        while nextRow < chunk.rows.count {
            guard hasShare else { return false }
            let key = chunk.keyIndices.isEmpty ? nil : chunk.rows.key(of: nextRow, chunk.keyIndices)
            if let key, touched.isTouched(key) {
                nextRow += 1
                continue
            }
            let id = chunk.end == nil ? cursor : chunk.rows.ids[nextRow]
            let place = BackfillPlace(
                run: run, count: (appended?.count ?? 0) + 1, tableOID: chunk.table.oid, filenode: chunk.filenode, block: id.block, offset: id.offset)
            var sink = window
            let text: [UInt8]
            do throws(CaptureError) {
                text = try encoder.write(nextRow, of: chunk.rows, table, behind: previous, place, readAt: chunk.readAt, into: &sink)
            } catch {
                giveUp(.failed(why: "a row of \(chunk.table.name) at ctid (\(chunk.rows.ids[nextRow].block),\(chunk.rows.ids[nextRow].offset)) cannot be sent: \(error)"))
                return false
            }
            appended?.take(place, id: text.span, isMarker: false)
            if chunk.end != nil { cursor = id }
            if let key { touched.wasRead(key, appendedCount: window.appendedCount.load(ordering: .relaxed)) }
            nextRow += 1
            if let left = allowance, !isHolding {
                allowance = left - 1
                givingWay.spent(1)
            }
        }
        finish(chunk)
        return true
    }

    private func finish(_ chunk: BackfillChunk) {
        nextRow = 0
        isShown = false
        isHolding = false
        encoder.forgetCasts()
        // What was looked for and is not there is settled by that.
        for key in chunk.keys where !touched.isTouched(key) { touched.wasRead(key, appendedCount: window.appendedCount.load(ordering: .relaxed)) }
        if let end = chunk.end { cursor = end }
        exchange.update { [cursor, touched, appended] state in
            state.walked(to: cursor)
            state.readAgain(touched)
            if let appended { state.appended(appended) }
        }
        failpoints.reached(.chunkPlaced)
    }

    /// Rows are stored in another stream: what is to be read again of them is settled by that, as far as their snapshot shows who touched them.
    private func settle(_ chunk: BackfillChunk) {
        touched.shown(by: chunk.snapshot)
        let keys = chunk.keyIndices.isEmpty ? [] : (0..<chunk.rows.count).compactMap { chunk.rows.key(of: $0, chunk.keyIndices) }
        for key in keys + chunk.keys where !touched.isTouched(key) { touched.wasRead(key, appendedCount: 0) }
    }

    /// Where the walk stands.
    private var cursor = ReadRows.TupleID(block: 0, offset: 0)

    /// Beside live events it is measured how many rows may go out; without them as many do as are stored.
    private func giveWay(at now: Instant) {
        let isLive = lastLiveAt.map { now.duration(since: $0) < Self.liveTime } ?? false
        if !isLive, allowance != nil { givingWay.letGo(at: now) }
        let times = handover.liveTimes.withLock { kept in
            defer { kept = isLive ? [] : nil }
            return kept ?? []
        }
        allowance = isLive ? givingWay.allowance(at: now, times: times) : nil
        tell(isLive ? givingWay.rate : nil)
    }

    /// Nobody reads rows now: nothing is measured.
    private func stopGivingWay() {
        allowance = nil
        handover.liveTimes.withLock { $0 = nil }
        tell(nil)
    }

    private func tell(_ rate: Double?) {
        guard rate != toldRate else { return }
        toldRate = rate
        exchange.update { $0.givesWay(to: rate) }
    }

    private var hasShare: Bool {
        isHolding
            ? window.retainedCount < RetainedWindow.entryLimit && window.byteCount < window.byteLimit / 2
            : allowance ?? 1 > 0 && window.retainedCount < Self.shareCount && window.byteCount < window.byteLimit / Self.byteShare
    }

    /// The event behind which the next message stands.
    private var previous: MessageID {
        guard let last = window.lastAppended else { return beginning }
        return MessageID(
            systemID: identity.systemID, databaseOID: identity.databaseOID, timeline: timelines.timeline(of: last.position), transactionID: last.transactionID,
            position: last.position)
    }

    // MARK: - The record

    /// What is to be read again goes with the position that is recorded next. Called before that is handed on.
    func keep() {
        guard var next = progress, next.pass != nil else { return }
        let storedCount = window.releasedCount.load(ordering: .acquiring)
        guard touched.hasChanged(storedCount: storedCount) || next.isStale != keptIsStale else { return }
        next.rereads = rereadTexts()
        progress = next
        keptIsStale = next.isStale
        handover.backfill.withLock { $0.progress = next }
    }

    private func rereadTexts() -> [String]? {
        let keys = touched.unsettled(storedCount: window.releasedCount.load(ordering: .acquiring))
        return keys.isEmpty ? nil : keys.map { Data($0.bytes).base64EncodedString() }
    }

    private var keptIsStale: Bool?
}

extension BackfillProgress {
    /// Keys that the record keeps.
    fileprivate var rereadKeys: [RowKey] {
        (rereads ?? []).compactMap { text in Data(base64Encoded: text).map { RowKey(bytes: Array($0)) } }
    }
}
