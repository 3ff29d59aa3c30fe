import Capture
import History
import PGOutput
import Synchronization
import Threads
import WAL

/// What a thread that reads tables hands to the one that reads the stream, which alone knows where in it there is room for them.
enum BackfillWork {
    /// What the record says of the run from now on; what follows waits until it does.
    case progress(BackfillProgress)
    /// What the run waits for, for whoever asks; nil: for nothing.
    case note(String?)
    /// The run is over; as above.
    case finished(FinishedBackfill)
    /// The published table's changes are watched: from here on pending transactions are collected.
    case watch(RelationID, TouchedRows)
    /// Nobody reads rows any more, until the next `resume`: what is to be read again is still collected.
    case pause
    /// Pending transactions are collected anew.
    case resume
    /// The table begins anew: what was to be read again is part of that.
    case anew
    /// How the table's rows are written.
    case describe(Relation, TableDescription, operation: String)
    case rows(BackfillChunk)
    /// A snapshot, of which nothing was read.
    case shown(TransactionSnapshot)
    case marker(BackfillMarker.Backfill, tableOID: UInt32, filenode: UInt32, block: UInt32)
}

/// Rows of one snapshot.
struct BackfillChunk {
    var rows: ReadRows
    var snapshot: TransactionSnapshot
    /// All that the snapshot shows commits before it.
    var lsn: LSN
    var readAt: PostgresTimestamp
    var table: BackfillProgress.Table
    var filenode: UInt32
    /// Where the keys' columns stand.
    var keyIndices: [Int]
    /// Where the walk stands behind it; nil: they are rows that are read again.
    var end: ReadRows.TupleID?
    /// Those that were looked for, where they are read again.
    var keys: [RowKey] = []
    /// All rows of a table without key: no event of the table may come between them.
    var isWhole = false
    var casts: (requests: [CastRequest], answers: [CastAnswer]) = ([], [])
}

/// What the two threads of a backfill share. The reading of tables waits for the reading of the stream, never the other way.
final class BackfillExchange: Sendable {
    /// Bytes of rows that may wait for their place.
    static let byteLimit = 4 << 20

    /// Why what is in flight was given up.
    enum Reset: Equatable {
        /// More pending transactions than can be held: the rows behind the cursor are read again.
        case pending
        /// A row is not stored, or what is to be read again is too much: the table begins anew.
        case table(why: String)
        /// The table was emptied: it is read.
        case truncated
        /// A row cannot be an event: the run rests until somebody has mended that.
        case failed(why: String)
    }

    struct State {
        /// In order, each with the generation of which it is.
        fileprivate(set) var queue: [(generation: UInt64, work: BackfillWork)] = []
        fileprivate(set) var byteCount = 0
        /// Counted by the resets: what was sent before the last one is passed over.
        fileprivate(set) var generation: UInt64 = 0
        /// As the thread that reads tables knows it.
        fileprivate(set) var knownGeneration: UInt64 = 0
        /// Of all that was sent, how much is done or passed over.
        fileprivate(set) var doneCount: UInt64 = 0
        fileprivate(set) var sentCount: UInt64 = 0
        fileprivate(set) var reset: Reset?
        /// Where the walk stands behind all rows that went out.
        fileprivate(set) var cursor = ReadRows.TupleID(block: 0, offset: 0)
        /// Keys that are to be read again.
        fileprivate(set) var rereads: [RowKey] = []
        /// Of the messages that went out: what a marker tells of its table.
        fileprivate(set) var appended: BackfillTail?
        /// What the record says.
        fileprivate(set) var progress: BackfillProgress?
        fileprivate(set) var finished: [FinishedBackfill] = []
        /// Tables of runs that are over.
        fileprivate(set) var covered: [String] = []
        /// The stream is compared: it is known what of the run is stored.
        fileprivate(set) var isReady = false
        fileprivate(set) var isOver = false
    }

    private let state = Mutex(State())
    /// Something is queued: asked for each transaction, without a lock.
    private let isQueued = Atomic<Bool>(false)
    /// Wakes the thread that reads tables.
    private let wake: WakeSignal
    private let wakeSource: @Sendable () -> Void

    /// - Throws: if the process has no descriptors left.
    init(wakeSource: @escaping @Sendable () -> Void) throws(SystemError) {
        wake = try WakeSignal()
        self.wakeSource = wakeSource
    }

    // MARK: - The thread that reads tables

    var look: State { state.withLock { $0 } }

    var isOver: Bool { state.withLock { $0.isOver } }

    /// Waits until something happened, or the time is over.
    func wait(_ timeout: Duration) { wake.wait(timeout: timeout) }

    /// Takes the reset, and what follows is of a new generation.
    func takeReset() -> Reset? {
        state.withLock { state in
            defer { state.reset = nil }
            state.knownGeneration = state.generation
            return state.reset
        }
    }

    /// Sends; does not wait.
    func send(_ work: BackfillWork) {
        state.withLock { state in
            // What was read before a reset that the sender does not know of is of no use.
            guard state.knownGeneration == state.generation else { return }
            state.queue.append((state.generation, work))
            state.sentCount += 1
            isQueued.store(true, ordering: .releasing)
            if case .rows(let chunk) = work { state.byteCount += chunk.rows.byteCount }
        }
        wakeSource()
    }

    /// Sends, and waits until it is done.
    /// - Returns: False: the session is over, or what was in flight was given up.
    func perform(_ work: BackfillWork) -> Bool {
        send(work)
        return settle()
    }

    /// Waits until all that was sent is done.
    /// - Returns: As above.
    func settle() -> Bool {
        while true {
            let (isDone, isReset, isOver) = state.withLock { ($0.doneCount >= $0.sentCount, $0.reset != nil, $0.isOver) }
            if isOver || isReset { return false }
            if isDone { return true }
            wake.wait(timeout: .seconds(1))
        }
    }

    /// Waits until there is room for more rows.
    /// - Returns: As above.
    func makeRoom() -> Bool {
        while true {
            let (byteCount, isReset, isOver) = state.withLock { ($0.byteCount, $0.reset != nil, $0.isOver) }
            if isOver || isReset { return false }
            if byteCount < Self.byteLimit { return true }
            wake.wait(timeout: .seconds(1))
        }
    }

    // MARK: - The thread that reads the stream

    /// Whether something waits, or has waited.
    var hasWork: Bool { isQueued.load(ordering: .acquiring) }

    /// The first that waits; nil: nothing does. What is of a former generation is passed over.
    func first() -> BackfillWork? {
        state.withLock { state in
            while let first = state.queue.first {
                if first.generation == state.generation { return first.work }
                Self.removeFirst(&state)
            }
            isQueued.store(false, ordering: .releasing)
            return nil
        }
    }

    /// The first is done.
    func done() {
        state.withLock { Self.removeFirst(&$0) }
        wake.signal()
    }

    private static func removeFirst(_ state: inout State) {
        let (_, work) = state.queue.removeFirst()
        state.doneCount += 1
        if case .rows(let chunk) = work { state.byteCount -= chunk.rows.byteCount }
    }

    /// What is in flight is given up.
    func reset(_ reset: Reset) {
        state.withLock { state in
            state.generation += 1
            // What asks for more is kept.
            if state.reset == nil || state.reset == .pending { state.reset = reset }
            while !state.queue.isEmpty { Self.removeFirst(&state) }
        }
        wake.signal()
    }

    func update(_ body: (inout State) -> Void) {
        state.withLock { body(&$0) }
        wake.signal()
    }

    /// The session ends.
    func end() {
        state.withLock { $0.isOver = true }
        wake.signal()
    }
}

extension BackfillExchange.State {
    mutating func walked(to cursor: ReadRows.TupleID) { self.cursor = cursor }
    mutating func appended(_ tail: BackfillTail) { appended = tail }
    mutating func readAgain(_ keys: [RowKey]) { rereads = keys }
    mutating func said(_ word: BackfillWord) {
        progress = word.progress
        finished = word.finished
        covered = word.covered
    }

    /// It is known what is stored.
    mutating func ready(_ word: BackfillWord, _ tail: BackfillTail?, cursor: ReadRows.TupleID) {
        said(word)
        appended = tail
        self.cursor = cursor
        isReady = true
    }
}
