import PGOutput
import SeededRandom
import WAL

@testable import Capture
@testable import History

/// A table, the stream of its changes, and a backfill beside it: a schedule of them, in memory, by a seed.
///
/// The streamer goes by `TouchedRows`, as `BackfillPlacer` and `BackfillReader` do; what it stores is folded as a consumer folds it.
struct BackfillModel {
    /// By what the streamer goes. Each but the first is simpler, and loses rows, or columns of rows.
    enum Rule: CaseIterable {
        case whole
        /// A row goes out, whoever has touched it.
        case nothingIsDropped
        /// What a snapshot shows is no longer pending as soon as it was taken, whatever is still on its way.
        case prunedWhenRead
        /// A row whose event lacks columns is left to the walk.
        case withoutRereads
        /// It is read again only if the walk has dropped it.
        case rereadsInWindowOnly
        /// It is not known after a crash, whether or not it was stored.
        case rereadsForgottenWhenAppended
        /// The record does not tell of it.
        case rereadsForgottenInCrashes
        /// Rows go out before the stream has come to where their snapshot stands.
        case placedWithoutWaiting
        /// Whoever had written to the table before it was watched is not waited for.
        case withoutClearGround
        /// Tables are read before all that is stored is decoded again.
        case readBeforeAllIsDecodedAgain
        /// A row that gets another key before the table ends is settled by that.
        case endsWithoutTheNewKey
        /// What is stored is confirmed, before it is decoded again.
        case confirmedBeforeDecodedAgain
        /// A table that begins anew forgets what is to be read again once it was seen how many blocks it has.
        case forgottenBehindClearGround
    }

    enum Ending: Hashable {
        /// Whoever folds the stream has the table.
        case whole
        /// Whoever does has something else.
        case lost(String)
    }

    /// What happened, for a test that wants to know whether all of it did.
    struct Tally {
        var walked = 0
        var dropped = 0
        var readAgain = 0
        var resets = 0
        var restarts = 0
        var crashes = 0
        var serverCrashes = 0
    }

    private enum Message {
        case event(ModelTable.Change, Position, isLast: Bool)
        /// `version`: of the walk.
        case read(key: Int, ModelTable.Row, pass: Int, version: Int?, cursor: ReadRows.TupleID)
        case restart(pass: Int)
        case ended
    }

    private struct Chunk {
        var versions: [Int]
        var snapshot: TransactionSnapshot
        /// nil: they are read again.
        var end: ReadRows.TupleID?
        var keys: [RowKey] = []
    }

    private enum Work {
        case anew, watch
        case shown(TransactionSnapshot)
        case chunk(Chunk)
    }

    private struct Pass {
        var number: Int
        var blockCount: UInt32
    }

    private struct Record {
        var confirmedCount = BackfillModel.firstCount
        var pass: Pass?
        var isStale = false
        var isOver = false
        var rereads: [RowKey] = []
    }

    /// Where whoever reads tables stands.
    private enum Phase {
        case waiting, watching
        case clearing(noted: Set<Int>?)
        case beginning(Pass)
        case walking
        case settling(Set<RowKey>)
        /// Until so many messages are stored.
        case ending(storedCount: Int)
        case closing(storedCount: Int)
        case over
    }

    private static let transactionLimit = 22
    /// Rows that nobody has changed since are in no event.
    private static let firstCount = 1
    private static let start = ReadRows.TupleID(block: 0, offset: 0)

    private(set) var tally = Tally()
    private let rule: Rule
    private var random: SplitMix64
    private var table: ModelTable
    private var log: [Message] = []
    private var storedCount = 0
    private var record = Record()
    private let startTurn: Int
    /// In 1,024 turns.
    private let weights: (decode: Int, place: Int, read: Int, put: Int, store: Int, reset: Int, anew: Int, crash: Int)

    // The thread that reads the stream.
    private var decodedCount = BackfillModel.firstCount
    private var watermark = Position(commitLSN: .invalid, ordinal: 0)
    private var touched = TouchedRows(keyColumns: ["id"], collectsRereads: true)
    private var isWatched = false
    private var queue: [Work] = []
    private var nextRow = 0
    private var isShown = false
    private var cursor = BackfillModel.start
    /// Dropped ones that have to be read again, as the rule of that name has it.
    private var windowed: Set<RowKey> = []

    // The thread that reads tables.
    private var phase = Phase.waiting
    private var pass: Pass?
    private var isStale = false
    private var walkCursor = BackfillModel.start
    private var seenRereads: Set<RowKey> = []

    init(seed: UInt64, rule: Rule) {
        var random = SplitMix64(seed: seed)
        func one(_ weights: Int...) -> Int { random.one(of: weights) ?? 0 }
        // Some simpler rules are found out only where there are many crashes, or little is stored between them.
        weights = switch rule {
        case .readBeforeAllIsDecodedAgain: (60, 300, 600, 4, 200, 2, 0, 10)
        case .rereadsForgottenWhenAppended: (300, 300, 250, 200, 10, 2, 0, 10)
        case .rereadsForgottenInCrashes, .confirmedBeforeDecodedAgain: (one(20, 100, 300), 300, 250, 200, 200, 2, 0, 40)
        default: (one(20, 100, 300), one(50, 300), one(50, 250), one(10, 50, 200), one(10, 50, 200), one(2, 20), one(0, 2, 20, 60), one(1, 5, 40))
        }
        table = ModelTable(&random)
        startTurn = 1 + random.number(below: 30)
        self.random = random
        self.rule = rule
    }

    /// Runs the schedule to its end.
    mutating func run() -> Ending {
        var turn = 0
        while true {
            turn += 1
            guard turn < 20_000 else { return .lost("no progress") }
            if turn == startTurn { phase = .watching }
            let mayBegin = table.transactions.count < Self.transactionLimit
            table.turn(mayBegin: mayBegin, &random)
            var draw = random.next()
            func happens(_ weight: Int) -> Bool {
                defer { draw >>= 10 }
                return draw & 1_023 < weight
            }
            if happens(weights.decode) { decode() }
            if happens(weights.place) { place() }
            if happens(weights.read) { read() }
            if happens(weights.store) { storedCount += random.number(below: log.count - storedCount + 1) }
            if happens(weights.put) { put() }
            draw = random.next()
            if happens(weights.reset), mayBegin { reset() }
            if happens(weights.anew), mayBegin { beginAnew() }
            if happens(weights.crash), mayBegin { crash(keeping: storedCount + random.number(below: log.count - storedCount + 1)) }
            if happens(2), mayBegin {
                tally.serverCrashes += 1
                table.crash()
                crash(keeping: log.count)
            }
            if !mayBegin, case .over = phase, decodedCount == table.commits.count, table.isQuiet { return verdict() }
        }
    }

    // MARK: - The stream

    private static func key(_ number: Int) -> RowKey {
        var key = RowKey()
        withUnsafeBytes(of: UInt8(number)) { key.append($0) }
        return key
    }

    /// The next transaction, whole: rows go between transactions only.
    private mutating func decode() {
        guard decodedCount < table.commits.count else { return }
        let transaction = table.transactions[table.commits[decodedCount]]
        guard let commitLSN = transaction.commitLSN, table.isFlushed(commitLSN) else { return }
        for (index, change) in transaction.changes.enumerated() {
            let position = Position(commitLSN: commitLSN, ordinal: UInt64(index) + 1)
            if position > watermark { log.append(.event(change, position, isLast: index == transaction.changes.count - 1)) }
            guard isWatched else { continue }
            // The row is still to be read again, by its new key.
            if rule != .endsWithoutTheNewKey, case .settling(var left) = phase, let key = change.key, let old = change.oldKey, left.contains(Self.key(old)) {
                left.insert(Self.key(key))
                phase = .settling(left)
            }
            touched.changed(
                RowChange(
                    relation: RelationID(1), transactionID: TransactionID(UInt32(truncatingIfNeeded: transaction.id)), position: position,
                    key: change.key.map(Self.key), oldKey: change.oldKey.map(Self.key), isWhole: change.isLargeSent, isKeyUnknown: false))
        }
        decodedCount += 1
    }

    /// All that commits before it was decoded.
    private var provenLSN: LSN {
        guard decodedCount < table.commits.count, let next = table.transactions[table.commits[decodedCount]].commitLSN, table.isFlushed(next) else {
            return table.flushLSN
        }
        return next
    }

    private var isAllDecodedAgain: Bool {
        decodedCount == table.commits.count || table.transactions[table.commits[decodedCount]].commitLSN.map { $0 > watermark.commitLSN } ?? false
    }

    // MARK: - What puts rows in

    private mutating func place() {
        guard let work = queue.first else { return }
        switch work {
        case .anew: forget()
        case .watch:
            isWatched = true
            touched.beginReading()
        case .shown(let snapshot):
            touched.shown(by: snapshot)
            seenRereads = rereads
        case .chunk(let chunk): guard put(chunk) else { return }
        }
        queue.removeFirst()
        nextRow = 0
        isShown = false
    }

    /// Some rows of it; whether all are in.
    private mutating func put(_ chunk: Chunk) -> Bool {
        guard rule == .placedWithoutWaiting || provenLSN >= chunk.snapshot.lsn else { return false }
        if !isShown {
            isShown = true
            touched.shown(by: chunk.snapshot)
        }
        var room = 1 + random.number(below: 3)
        while nextRow < chunk.versions.count {
            guard room > 0 else { return false }
            let version = table.versions[chunk.versions[nextRow]]
            let key = Self.key(version.key)
            nextRow += 1
            if isTouched(key) {
                tally.dropped += 1
                if touched.rereads.contains(key) { windowed.insert(key) }
                continue
            }
            room -= 1
            if chunk.end != nil { cursor = version.place }
            log.append(
                .read(key: version.key, version.row, pass: pass?.number ?? 0, version: chunk.end == nil ? nil : chunk.versions[nextRow - 1], cursor: cursor))
            if chunk.end == nil { tally.readAgain += 1 } else { tally.walked += 1 }
            touched.wasRead(key, appendedCount: UInt64(log.count))
        }
        for key in chunk.keys where !isTouched(key) { touched.wasRead(key, appendedCount: UInt64(log.count)) }
        if let end = chunk.end { cursor = end }
        seenRereads = rereads
        return true
    }

    private func isTouched(_ key: RowKey) -> Bool { rule != .nothingIsDropped && touched.isTouched(key) }

    private var rereads: Set<RowKey> {
        switch rule {
        case .withoutRereads: []
        case .rereadsInWindowOnly: touched.rereads.intersection(windowed)
        default: touched.rereads
        }
    }

    private mutating func forget() {
        touched.forgetRereads()
        windowed = []
    }

    // MARK: - What reads tables

    private mutating func read() {
        guard rule == .readBeforeAllIsDecodedAgain || isAllDecodedAgain else { return }
        switch phase {
        case .waiting, .over: break
        case .watching:
            queue.append(.watch)
            phase = .clearing(noted: nil)
        case .clearing(let noted):
            guard noted != nil || queue.isEmpty else { break }
            let holders = rule == .withoutClearGround ? [] : table.holders
            queue.append(.shown(table.snapshot()))
            guard holders.intersection(noted ?? holders).isEmpty else { return phase = .clearing(noted: noted ?? holders) }
            if let pass, !isStale {
                walkCursor = cursor
                phase = .walking
                _ = pass
            } else {
                phase = .beginning(Pass(number: (pass?.number ?? 0) + 1, blockCount: table.blockCount))
                if pass != nil, rule == .forgottenBehindClearGround { queue.append(.anew) }
            }
        case .beginning(let next): if queue.isEmpty { begin(next) }
        case .walking: walk()
        case .settling(let left):
            guard queue.isEmpty else { break }
            let left = left.intersection(rule == .endsWithoutTheNewKey ? seenRereads : rereads)
            if left.isEmpty { phase = .ending(storedCount: log.count) } else { readAgain(left) }
        case .ending(let count):
            guard storedCount >= count else { break }
            log.append(.ended)
            phase = .closing(storedCount: log.count)
        case .closing(let count):
            guard storedCount >= count else { break }
            touched.endReading()
            phase = .over
            put()
        }
    }

    private mutating func begin(_ next: Pass) {
        pass = next
        isStale = false
        cursor = Self.start
        walkCursor = cursor
        phase = .walking
        // The record tells of it before its first row goes out.
        put()
        if next.number > 1 { log.append(.restart(pass: next.number)) }
    }

    private mutating func walk() {
        guard let pass else { return }
        guard walkCursor.block < pass.blockCount else {
            if queue.isEmpty { phase = .settling(rule == .endsWithoutTheNewKey ? seenRereads : rereads) }
            return
        }
        guard queue.count < 3 else { return }
        if !seenRereads.isEmpty, random.number(below: 4) == 0 { return readAgain(seenRereads) }
        let end = min(pass.blockCount, walkCursor.block + 1 + UInt32(random.number(below: 2)))
        let limit = 1 + random.number(below: 4)
        let found = table.shown().filter { table.versions[$0].place > walkCursor && table.versions[$0].place.block < end }.prefix(limit)
        walkCursor = found.count < limit ? ReadRows.TupleID(block: end, offset: 0) : found.last.map { table.versions[$0].place } ?? walkCursor
        send(Chunk(versions: Array(found), snapshot: table.snapshot(), end: walkCursor))
    }

    private mutating func readAgain(_ keys: Set<RowKey>) {
        send(Chunk(versions: table.shown().filter { keys.contains(Self.key(table.versions[$0].key)) }, snapshot: table.snapshot(), keys: Array(keys)))
    }

    private mutating func send(_ chunk: Chunk) {
        if rule == .prunedWhenRead { touched.shown(by: chunk.snapshot) }
        queue.append(.chunk(chunk))
    }

    // MARK: - What goes wrong

    /// Too many transactions are pending.
    private mutating func reset() {
        tally.resets += 1
        touched.beginReading()
        letGo()
    }

    /// Too many rows are to be read again.
    private mutating func beginAnew() {
        guard pass != nil, isReading else { return }
        tally.restarts += 1
        forget()
        isStale = true
        touched.beginReading()
        letGo()
    }

    private var isReading: Bool {
        switch phase {
        case .waiting, .over, .ending, .closing: false
        case .watching, .clearing, .beginning, .walking, .settling: true
        }
    }

    private mutating func letGo() {
        queue = []
        nextRow = 0
        isShown = false
        if isReading { phase = .watching }
    }

    /// Of what is not known to be stored so much is; all else is forgotten but what the record says.
    private mutating func crash(keeping count: Int) {
        tally.crashes += 1
        log.removeLast(log.count - count)
        storedCount = count
        decodedCount = record.confirmedCount
        watermark = Position(commitLSN: .invalid, ordinal: 0)
        for case .event(_, let position, _) in log { watermark = position }
        touched = TouchedRows(keyColumns: ["id"], collectsRereads: true, rereads: record.rereads)
        windowed = []
        seenRereads = []
        pass = record.pass
        isStale = record.isStale
        isWatched = pass != nil
        queue = []
        nextRow = 0
        isShown = false
        cursor = Self.start
        var hasEnded = false
        for message in log {
            switch message {
            case .read(_, _, let number, _, let place) where number == pass?.number: cursor = place
            case .ended: hasEnded = true
            case .read, .event, .restart: break
            }
        }
        switch phase {
        case .waiting: break
        case .over where record.isOver: break
        default: phase = hasEnded ? .closing(storedCount: 0) : .watching
        }
    }

    /// The record, and with it what the slot need not send again.
    private mutating func put() {
        var stored = Self.firstCount
        for case .event(_, _, isLast: true) in log.prefix(storedCount) { stored += 1 }
        record.confirmedCount = rule == .confirmedBeforeDecodedAgain ? stored : min(stored, decodedCount)
        record.pass = pass
        record.isStale = isStale
        if case .over = phase { record.isOver = true }
        let kept = touched.unsettled(storedCount: UInt64(storedCount))
        switch rule {
        case .rereadsForgottenWhenAppended: record.rereads = Array(touched.rereads)
        case .rereadsForgottenInCrashes: record.rereads = []
        default: record.rereads = kept
        }
    }

    // MARK: - The judge

    private func verdict() -> Ending {
        var rows: [Int: (small: Int, large: Int?)] = [:]
        var walked: Set<[Int]> = []
        var state = Self.firstCount
        for message in log {
            switch message {
            case .event(let change, _, let isLast):
                let before = rows[change.oldKey ?? change.key ?? 0]
                if let old = change.oldKey { rows[old] = nil }
                if let key = change.key { rows[key] = (change.row.small, change.isLargeSent ? change.row.large : before?.large) }
                if isLast { state += 1 }
            case .read(let key, let row, let pass, let version, _):
                rows[key] = (row.small, row.large)
                if let version, !walked.insert([pass, version]).inserted { return .lost("version \(version) is walked twice in pass \(pass)") }
                // More than a consumer needs: the row is the one that there is where its event stands.
                if rule == .whole, table.states[state][key] != row { return .lost("row \(key) is another where it is read") }
            case .ended:
                if let unknown = rows.first(where: { $0.value.large == nil }) { return .lost("a column of row \(unknown.key) is not known at the end") }
                if rule == .whole, let fault = difference(rows, table.states[state]) { return .lost("at the table's end: \(fault)") }
            case .restart: break
            }
        }
        return difference(rows, table.states[table.commits.count]).map { .lost($0) } ?? .whole
    }

    private func difference(_ rows: [Int: (small: Int, large: Int?)], _ state: [Int: ModelTable.Row]) -> String? {
        for (key, row) in state {
            guard let found = rows[key] else { return "row \(key) is missing" }
            guard let large = found.large else { return "a column of row \(key) is not known" }
            guard found.small == row.small, large == row.large else { return "row \(key) is stale" }
        }
        return rows.keys.first { state[$0] == nil }.map { "row \($0) is gone from the table" }
    }
}
