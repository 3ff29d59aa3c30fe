import Capture
import PostgresReplication
import WAL
import WireMessages

/// A PostgreSQL server with one slot: its WAL, what the slot confirms, and who holds it.
///
/// It goes by what the real one does: a transaction is sent again if its commit record begins at or behind where decoding starts; a
/// confirmed position is taken as it comes, never moved back, and is on disk only now and then; a restart falls back to what is there.
final class ModelServer {
    static let systemID: UInt64 = 7_000_000_000_000_000_001
    static let databaseOID: UInt32 = 5
    static let slotName = "slotstream"

    enum Kind {
        case transaction
        /// Of no transaction.
        case message
        /// Nothing that is sent.
        case noise
    }

    /// A piece of WAL that decoding comes to.
    struct Record {
        var kind: Kind
        /// Of a transaction, its commit record.
        var start: UInt64
        var end: UInt64
        /// pgoutput's messages, descriptions of tables aside.
        var frames: [[UInt8]] = []
        var timestamp: Int64 = 0
    }

    unowned let world: World
    private(set) var timeline: UInt32 = 1
    /// As the history file names them.
    private var ancestors: [(timeline: UInt32, switchPoint: UInt64)] = []
    /// Timelines so far, of all histories.
    private var timelineCount: UInt32 = 1
    private(set) var timelines = TimelineHistory(currentTimeline: 1)
    private(set) var records: [Record] = []
    /// Where the WAL ends.
    private(set) var end: UInt64 = 0x1000
    private var nextXID: UInt32 = 700
    private var transactionCount = 0
    private var walsenderCount: Int32 = 0
    private var writtenAt: UInt64 = 0
    /// Something was written, or it began anew, since it last kept house.
    private var isHouseDue = false
    private var clock: Int64 = 800_000_000_000_000
    /// The numbers of all changes of this history, oldest first.
    private(set) var history: [Int] = []

    /// Counts how often all connections ended.
    private(set) var bootNumber = 0
    /// Counts the histories.
    private(set) var historyNumber = 0

    /// `confirmed_flush_lsn`, and as it is on disk.
    private(set) var confirmed: UInt64 = 0x1000
    private var persisted: UInt64 = 0x1000
    var holder: Walsender?
    /// When it takes connections again; 0: it does.
    var downUntil: UInt64 = 0

    init(_ world: World) { self.world = world }

    var isUp: Bool { world.now >= downUntil }

    // MARK: - What is written

    /// Commits a transaction of so many rows; `hidden` of them are of a table that is not published as events.
    func commit(_ rowCount: Int, isTight: Bool, hides: (Int) -> Bool) {
        let start = end + (isTight ? 0 : 8 * UInt64(1 + rowCount))
        let xid = nextXID
        nextXID += 1
        clock += 1_000
        transactionCount += 1
        var record = Record(kind: .transaction, start: start, end: start + 40, timestamp: clock)
        record.frames.reserveCapacity(rowCount + 2)
        record.frames.append(WireMessage.begin(start, xid: xid, timestamp: clock))
        let lastShown = (1...rowCount).last { !hides($0) }
        for ordinal in 1...rowCount {
            guard !hides(ordinal) else {
                record.frames.append(ModelTables.hiddenRow)
                continue
            }
            record.frames.append(ModelTables.row(world.changes.count))
            add(
                Change(
                    id: ChangeMark.id(timeline: timeline, xid: xid, lsn: start, ordinal: ordinal), start: start,
                    transaction: transactionCount, isLast: ordinal == lastShown))
        }
        record.frames.append(WireMessage.commit(start, endLSN: start + 40, timestamp: clock))
        append(record)
        world.tell { "committed \(xid) at \(LSN(start)), \(rowCount) rows, up to change \(world.changes.count)" }
    }

    /// Emits a logical message outside transactions: its LSN is where its record ends.
    func emit() {
        let start = end + 8
        clock += 1_000
        transactionCount += 1
        let lsn = start + 64
        let frame = WireMessage.message(ModelTables.body(world.changes.count), isTransactional: false, lsn: lsn)
        add(
            Change(
                id: ChangeMark.id(timeline: timeline, xid: 0, lsn: lsn, ordinal: 0), start: start,
                transaction: transactionCount, isLast: true))
        append(Record(kind: .message, start: start, end: lsn, frames: [frame], timestamp: clock))
        world.tell { "message at \(LSN(lsn)), change \(world.changes.count)" }
    }

    /// Writes WAL of which nothing is sent.
    func makeNoise() {
        append(Record(kind: .noise, start: end, end: end + 128))
    }

    /// As the background writer does: what goes on is written down a while after anything else was.
    func keepHouse() {
        guard isUp, isHouseDue, world.now > writtenAt + 15_000_000_000 else { return }
        makeNoise()
        isHouseDue = false
    }

    private func add(_ change: Change) {
        history.append(world.changes.count)
        world.changes.append(change)
    }

    private func append(_ record: Record) {
        records.append(record)
        end = record.end
        writtenAt = world.now
        isHouseDue = true
    }

    // MARK: - The slot

    /// A status has come.
    func confirm(_ lsn: UInt64) {
        guard lsn > confirmed else { return }
        confirmed = lsn
    }

    /// A checkpoint: what is confirmed is on disk.
    func persist() { persisted = confirmed }

    /// As the catalogue shows it.
    var slotState: SlotState {
        SlotState(
            name: Self.slotName, database: Settings.identity.databaseName, isActive: holder != nil, activePID: holder?.pid,
            restartLSN: LSN(0x1000), confirmedFlushLSN: LSN(confirmed), walStatus: "reserved", currentWALLSN: LSN(end))
    }

    /// START_REPLICATION; nil: the slot is in use.
    func startReplication(at lsn: UInt64, reader: Strand) -> Walsender? {
        guard holder == nil else { return nil }
        walsenderCount += 1
        let walsender = Walsender(self, pid: walsenderCount, from: max(lsn, confirmed), reader: reader)
        holder = walsender
        world.walsenders.append(walsender)
        world.tell { "walsender \(walsenderCount) begins at \(LSN(max(lsn, confirmed)))" }
        return walsender
    }

    /// The streamer has closed the connection.
    func hangUp(_ walsender: Walsender) {
        walsender.isOpen = false
        if holder === walsender { holder = nil }
    }

    // MARK: - What befalls it

    /// So many pieces of WAL a standby has at least: those up to where the slot was synchronized.
    var leastKeptCount: Int { records.firstIndex { $0.end > persisted } ?? records.count }

    /// Stops and starts again: the slot is as it was on disk.
    func restart(_ downTime: UInt64) {
        closeHolder()
        isHouseDue = true
        confirmed = persisted
        downUntil = world.now + downTime
        world.tell { "PostgreSQL restarts: the slot falls back to \(LSN(confirmed))" }
    }

    func closeHolder() {
        bootNumber += 1
        holder?.isOpen = false
        holder?.wake()
        holder = nil
    }

    /// A standby that has only a part of the WAL is promoted; the slot was synchronized there some time ago.
    /// - Parameter keptCount: Pieces of WAL that it has.
    func failOver(keeping keptCount: Int, _ downTime: UInt64) {
        let switchPoint = cut(keptCount)
        // It left the timeline on which the switch point lies, not one that it never saw.
        let parent = ancestors.first { $0.switchPoint > switchPoint }?.timeline ?? timeline
        ancestors.removeAll { $0.switchPoint > switchPoint }
        ancestors.append((parent, switchPoint))
        timelineCount += 1
        timeline = timelineCount
        readHistory()
        finishLoss(downTime)
        world.tell { "failed over at \(LSN(switchPoint)) to timeline \(timeline): the slot is at \(LSN(confirmed))" }
    }

    /// As the server reads its history file.
    private func readHistory() {
        let text = ancestors.map { "\($0.timeline)\t\(LSN($0.switchPoint))\tno recovery target specified\n" }.joined()
        guard let timelines = TimelineHistory(currentTimeline: timeline, text: text) else { return world.fail("no history: \(text)") }
        self.timelines = timelines
    }

    /// It is restored from a snapshot: the same timeline, and another history from there on.
    func restore(keeping keptCount: Int, _ downTime: UInt64) {
        let end = cut(keptCount)
        // Of before a promotion: the timeline of then.
        if let parent = ancestors.first(where: { $0.switchPoint > end })?.timeline {
            ancestors.removeAll { $0.switchPoint > end }
            timeline = parent
            readHistory()
        }
        finishLoss(downTime)
        world.tell { "restored to \(LSN(end)): the slot is at \(LSN(confirmed))" }
    }

    private func cut(_ keptCount: Int) -> UInt64 {
        let lost = records[keptCount...]
        end = lost.first.map { keptCount > 0 ? records[keptCount - 1].end : $0.start } ?? end
        nextXID -= UInt32(lost.count { $0.kind == .transaction })
        records.removeSubrange(keptCount...)
        let end = end
        history.removeAll { world.changes[$0].start >= end }
        historyNumber += 1
        return end
    }

    private func finishLoss(_ downTime: UInt64) {
        closeHolder()
        isHouseDue = true
        persisted = min(persisted, end)
        confirmed = persisted
        downUntil = world.now + downTime
    }
}

/// The tables of the model: one whose rows are events, one whose rows are not.
enum ModelTables {
    static let shown: UInt32 = 16_400
    static let hidden: UInt32 = 16_401
    static let exclusion = "public.tb_hidden"

    static let descriptions: [[UInt8]] = [
        WireMessage.relation(shown, name: "tb_order", columns: columns),
        WireMessage.relation(hidden, name: "tb_hidden", columns: columns),
    ]
    static let hiddenRow = WireMessage.insert(into: hidden, [.text("1"), .text("x")])

    private static let columns = [WireMessage.Column(name: "id", isKey: true), WireMessage.Column(name: "note")]

    /// Rows are made once: a simulation makes the same ones again and again.
    nonisolated(unsafe) private static var rows: [[UInt8]] = []
    nonisolated(unsafe) private static var bodies: [[UInt8]] = []

    static func row(_ number: Int) -> [UInt8] {
        while rows.count <= number {
            rows.append(WireMessage.insert(into: shown, [.text("\(rows.count)"), .text(ChangeMark.text(rows.count))]))
        }
        return rows[number]
    }

    static func body(_ number: Int) -> [UInt8] {
        while bodies.count <= number {
            let text = ChangeMark.text(bodies.count)
            bodies.append(
                Array(#"{"entity_type":"note","operation":"SAID","entity_id":1,"entity":{"note":"\#(text)"}}"#.utf8))
        }
        return bodies[number]
    }
}
