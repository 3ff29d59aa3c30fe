package import History
package import Synchronization
import WAL

/// What the reading thread says of backfills, for the record; what is stored of them the publishing thread adds.
struct BackfillWord: Sendable {
    var progress: BackfillProgress?
    var finished: [FinishedBackfill] = []
    /// The names of the tables of runs that are over, sorted.
    var covered: [String]?
    var isFirstDue: Bool?
    /// Counts what the reading thread waits to see recorded.
    var version: UInt64 = 0
}

/// What the thread that reads from PostgreSQL and the one that publishes share: the window of events, a few atomics and two wake-ups, and no lock.
package final class Handover: Sendable {
    /// How the connection to NATS is, for the thread that does not own it: asked without waiting.
    package struct Connection: Sendable {
        var isConnected: @Sendable () -> Bool
        /// The server at which the client hangs for good; nil: it does not hang.
        var wedgedAt: @Sendable () -> String?

        package init(isConnected: @escaping @Sendable () -> Bool, wedgedAt: @escaping @Sendable () -> String?) {
            self.isConnected = isConnected
            self.wedgedAt = wedgedAt
        }
    }

    /// The events that are not known to be stored.
    package let window: RetainedWindow
    let connection: Connection
    /// Wakes the publishing thread: something was appended, or a flag was set. For any thread.
    let wakePublisher: @Sendable () -> Void
    /// Wakes the thread that reads from PostgreSQL.
    let wakeSource: @Sendable () -> Void

    // MARK: The reading thread tells

    /// What may be confirmed once it is recorded.
    package let confirmableLSN: Atomic<UInt64>
    /// Everything that commits before it was handed on; and the server's newest WAL, as it was last asked. What the stream holds beyond them cannot be told yet.
    let decodedLSN = Atomic<UInt64>(0)
    let serverLSN = Atomic<UInt64>(0)
    /// How often it was asked, counted when the answer is there.
    let inspectionCount = Atomic<UInt64>(0)
    /// Nothing more is appended: the record follows the last ack at once.
    let isDraining = Atomic<Bool>(false)
    let isStopRequested = Atomic<Bool>(false)
    /// What the record is to say of backfills.
    let backfill = Mutex(BackfillWord())

    // MARK: The publishing thread tells

    /// Recorded: may be told to PostgreSQL.
    let recordedLSN: Atomic<UInt64>
    /// The last sequence of ours that is proven to be stored, set before its event is released; and the one that the record tells.
    let storedSequence: Atomic<UInt64>
    let recordedSequence: Atomic<UInt64>
    /// The retained events, the newest ones, that wait for the rest of their transaction. Of them nothing was sent.
    let heldBackCount = Atomic<UInt64>(0)
    /// What is stored of the run that is under way, once the first comparison is over; nil: it is not, or there is no run.
    let storedBackfill = Mutex<BackfillTail?>(nil)
    /// How long the latest transactions took from their commit to their ack, in microseconds; nil: nobody wants to know.
    let liveTimes = Mutex<[Double]?>(nil)
    /// Of those that nobody has taken, so many are kept.
    private static let liveTimeLimit = 4_096
    /// A message of it was refused, and what was sent behind it is stored: set by the publishing thread, taken by the other.
    let hasLostRead = Atomic<Bool>(false)
    /// All that a predecessor published is compared.
    let isCompared = Atomic<Bool>(false)
    /// The backfill's word that the record has; see ``BackfillWord/version``.
    let recordedBackfill = Atomic<UInt64>(0)
    /// Why the publishing thread ended; nil while it runs and after an orderly end.
    let failure = Mutex<StreamerError?>(nil)

    /// - Parameters:
    ///   - record: As it is stored.
    ///   - storedSequence: What is proven to be stored.
    package init(
        _ window: RetainedWindow, record: CheckpointRecord, storedSequence: UInt64, connection: Connection,
        wakePublisher: @escaping @Sendable () -> Void, wakeSource: @escaping @Sendable () -> Void
    ) {
        self.window = window
        self.connection = connection
        self.wakePublisher = wakePublisher
        self.wakeSource = wakeSource
        confirmableLSN = Atomic(record.confirmedLSN.rawValue)
        recordedLSN = Atomic(record.confirmedLSN.rawValue)
        self.storedSequence = Atomic(storedSequence)
        recordedSequence = Atomic(record.lastSequence)
        backfill.withLock { $0 = BackfillWord(progress: record.backfill, finished: record.finishedBackfills ?? [], covered: record.backfilledTables, isFirstDue: record.isFirstBackfillDue) }
    }

    /// Whether nothing is retained but the beginning of a transaction that is sent only when it is whole.
    var isAllStored: Bool { UInt64(window.retainedCount) <= heldBackCount.load(ordering: .acquiring) }

    /// For the draining thread: a put of the record is under way or still to come. Asked only when all is stored, so that nothing changes meanwhile.
    ///
    /// The sequence alone is not waited for without a connection: the record can do without it, as long as the message is there.
    var isRecordUnsettled: Bool {
        recordedLSN.load(ordering: .acquiring) < confirmableLSN.load(ordering: .acquiring)
            || (recordedSequence.load(ordering: .acquiring) != storedSequence.load(ordering: .acquiring)
                && connection.isConnected())
    }

    /// Whether somebody wants to know, and there is room for more.
    var areLiveTimesWanted: Bool { liveTimes.withLock { $0.map { $0.count < Self.liveTimeLimit } ?? false } }

    /// Transactions took so long.
    func took(_ times: [Double]) {
        liveTimes.withLock { kept in
            guard let count = kept?.count, count < Self.liveTimeLimit else { return }
            kept?.append(contentsOf: times.prefix(Self.liveTimeLimit - count))
        }
    }

    /// Ends the publishing thread, from any thread.
    package func stopPublisher() {
        isStopRequested.store(true, ordering: .releasing)
        wakePublisher()
    }
}
