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
    /// These tables need no run any more; as above.
    case covered([String])
    /// The run is over; as above.
    case finished(FinishedBackfill)
    /// The published table's changes are watched: from here on pending transactions are collected.
    case watch(RelationID, TouchedRows)
    /// Nobody reads rows any more, until a table is watched again: what is to be read again is still collected.
    case pause
    /// The table begins anew. What is to be read again stays so: it may be behind what is walked.
    case anew
    /// How the table's rows are written.
    case describe(Relation, TableDescription, operation: String)
    case rows(BackfillChunk)
    /// What a stream of the run's own holds of it, and the rows that came last.
    case elsewhere(BackfillTail, BackfillChunk?)
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
    /// Works that may wait, whatever they hold: chunks in which no row is, too.
    static let countLimit = 64

    /// Why what is in flight was given up.
    enum Reset: Equatable {
        /// More pending transactions than can be held: the rows behind the cursor are read again.
        case pending
        /// A row is not stored, or what is to be read again is too much: the table begins anew.
        case table(why: String)
        /// The published table was emptied: it is read.
        case truncated(RelationID)
        /// A row cannot be an event: the run rests until somebody has mended that.
        case failed(why: String)
    }

    struct State {
        /// In order, each with its number among all that was sent.
        fileprivate(set) var queue: [(number: UInt64, work: BackfillWork)] = []
        fileprivate(set) var sentCount: UInt64 = 0
        /// Counted by the resets, each of which empties the queue; and as either thread knows it: the one that reads tables sends nothing before it knows of the last one, and
        /// begins anew only when the other has let go of what it had in hand.
        fileprivate(set) var generation: UInt64 = 0
        fileprivate(set) var readerGeneration: UInt64 = 0
        fileprivate(set) var placerGeneration: UInt64 = 0
        fileprivate(set) var reset: Reset?
        /// Where the walk stands behind all rows that went out.
        fileprivate(set) var cursor = ReadRows.TupleID(block: 0, offset: 0)
        /// Keys that are to be read again.
        fileprivate(set) var rereads: [RowKey] = []
        /// See ``TouchedRows/heirs``.
        fileprivate(set) var heirs: Set<RowKey> = []
        /// Of the messages that went out: what a marker tells of its table.
        fileprivate(set) var appended: BackfillTail?
        /// What the record says.
        fileprivate(set) var progress: BackfillProgress?
        fileprivate(set) var finished: [FinishedBackfill] = []
        /// Tables of runs that are over.
        fileprivate(set) var covered: [String]?
        fileprivate(set) var isFirstDue: Bool?
        /// The stream is compared: it is known what of the run is stored.
        fileprivate(set) var isReady = false
        fileprivate(set) var isOver = false
        /// Rows a second that go out beside live events; nil: there are none of those.
        fileprivate(set) var liveRate: Double?

        private var chunks: some Sequence<BackfillChunk> { queue.lazy.compactMap { if case .rows(let chunk) = $0.work { chunk } else { nil } } }
        /// Of the rows that wait.
        var byteCount: Int { chunks.reduce(0) { $0 + $1.rows.byteCount } }
        private var rowCount: Int { chunks.reduce(0) { $0 + $1.rows.count } }

        /// Where rows go out slowly, those of a second wait: what is read of them early has more to be left out, and more transactions have to be remembered for it.
        var hasRoom: Bool {
            queue.count < BackfillExchange.countLimit && byteCount < BackfillExchange.byteLimit && liveRate.map { Double(rowCount) < $0 } ?? true
        }
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

    /// Gives up what is in flight.
    /// - Returns: What the other thread had given it up for meanwhile.
    @discardableResult
    func interrupt() -> Reset? {
        reset(.pending)
        return takeReset()
    }

    /// Takes the reset, once the other thread has let go of what it had in hand; what is sent from then on counts.
    func takeReset() -> Reset? {
        while true {
            let (isSettled, isOver, reset) = state.withLock { state -> (Bool, Bool, Reset?) in
                guard state.placerGeneration == state.generation else { return (false, state.isOver, nil) }
                defer { state.reset = nil }
                state.readerGeneration = state.generation
                return (true, state.isOver, state.reset)
            }
            if isSettled || isOver { return reset }
            wakeSource()
            wake.wait(timeout: .milliseconds(100))
        }
    }

    /// Sends; does not wait.
    func send(_ work: BackfillWork) {
        state.withLock { state in
            // What was read before a reset that the sender does not know of is of no use.
            guard state.readerGeneration == state.generation else { return }
            state.sentCount += 1
            state.queue.append((state.sentCount, work))
            isQueued.store(true, ordering: .releasing)
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
            let (isDone, isReset, isOver) = state.withLock { ($0.queue.isEmpty, $0.reset != nil, $0.isOver) }
            if isOver || isReset { return false }
            if isDone { return true }
            wake.wait(timeout: .seconds(1))
        }
    }

    /// Waits until there is room for more rows.
    /// - Returns: As above.
    func makeRoom() -> Bool {
        while true {
            let (hasRoom, isReset, isOver) = state.withLock { ($0.hasRoom, $0.reset != nil, $0.isOver) }
            if isOver || isReset { return false }
            if hasRoom { return true }
            wake.wait(timeout: .seconds(1))
        }
    }

    // MARK: - The thread that reads the stream

    /// Whether something waits, or has waited.
    var hasWork: Bool { isQueued.load(ordering: .acquiring) }

    /// The first that waits, and its number; nil: nothing does.
    func first() -> (number: UInt64, work: BackfillWork)? {
        state.withLock { state in
            state.placerGeneration = state.generation
            if state.queue.isEmpty { isQueued.store(false, ordering: .releasing) }
            return state.queue.first
        }
    }

    /// That one is done, unless it was given up meanwhile.
    func done(_ number: UInt64) {
        state.withLock { state in
            guard state.queue.first?.number == number else { return }
            state.queue.removeFirst()
        }
        wake.signal()
    }

    /// What is in flight is given up.
    func reset(_ reset: Reset) {
        state.withLock { state in
            state.generation += 1
            // What asks for more is kept.
            if state.reset == nil || state.reset == .pending { state.reset = reset }
            state.queue.removeAll()
            // The other thread has to look.
            isQueued.store(true, ordering: .releasing)
        }
        wake.signal()
        wakeSource()
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
    mutating func givesWay(to rate: Double?) { liveRate = rate }
    mutating func walked(to cursor: ReadRows.TupleID) { self.cursor = cursor }
    mutating func appended(_ tail: BackfillTail) { appended = tail }
    mutating func readAgain(_ rows: TouchedRows) {
        rereads = Array(rows.rereads)
        heirs = rows.heirs
    }
    mutating func said(_ word: BackfillWord) {
        progress = word.progress
        finished = word.finished
        covered = word.covered
        isFirstDue = word.isFirstDue
    }

    /// It is known what is stored.
    mutating func ready(_ word: BackfillWord, _ tail: BackfillTail?, cursor: ReadRows.TupleID) {
        said(word)
        appended = tail
        self.cursor = cursor
        isReady = true
    }
}
