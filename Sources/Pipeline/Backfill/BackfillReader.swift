import Capture
import History
import JetStreamPublishing
import Logging
import PostgresReplication
import Threads
import WAL

/// Carries backfills out: looks for what is wanted, reads tables chunk by chunk, each in a snapshot of milliseconds, and hands their rows to the thread that reads the stream.
///
/// It has a thread and a connection of its own, and begins with each session where the record says that the one before was.
final class BackfillReader: Sendable {
    /// Between two looks at what is wanted.
    static let requestInterval = Duration.seconds(1)
    /// Tables of one request that the configuration names.
    static let namedTableLimit = 200
    /// Between two looks for tables of `backfill.on_first_start` that no run has read.
    static let tableInterval = Duration.seconds(15)
    /// Of a chunk's rows, about.
    static let chunkByteCount = 256 << 10
    /// Rows of a chunk, at most.
    static let chunkRowLimit = 4_000
    /// A table without a key is read whole, up to so many bytes.
    package static let keylessByteLimit: UInt64 = 8 << 20
    /// Of its rows in memory.
    static let keylessMemoryLimit = 4 * Int(keylessByteLimit)
    /// Keys that are looked up at a time; and how many are waited for while the walk goes on.
    static let rereadChunkCount = 500
    static let rereadDueCount = 200
    /// For a statement of a chunk.
    static let statementTimeout = Duration.seconds(60)
    static let retryInterval = Duration.seconds(2)
    /// Between two looks at who holds a table, and at keys whose transactions are not shown yet.
    static let pollInterval = Duration.milliseconds(200)

    /// What a session knows.
    struct Session: Sendable {
        var configuration: StreamerConfiguration
        var identity: SourceIdentity
        var streamCreated: String
        /// Of the tables' names, which are a part of the record.
        var tableByteLimit: Int
        /// Of which stream, history and options a run has to be.
        var history: String
        var server: ServerMark
        var columnRules: ColumnRules
    }

    let session: Session
    let exchange: BackfillExchange
    let connection: JetStreamConnection
    let observations: Observations
    let failpoints: Failpoints
    let logger: Logger

    init(
        _ session: Session, _ exchange: BackfillExchange, over connection: JetStreamConnection, observations: Observations, failpoints: Failpoints, logger: Logger
    ) {
        self.session = session
        self.exchange = exchange
        self.connection = connection
        self.observations = observations
        self.failpoints = failpoints
        self.logger = logger
    }

    var configuration: StreamerConfiguration { session.configuration }

    /// Begins, on a thread of its own; it ends by itself soon after the exchange has.
    func start() throws(SystemError) { try OwnedThread(name: "backfill") { self.run() }.detach() }

    // MARK: - A run

    /// Why it does not go on with a run now.
    enum Interruption: Error {
        /// The session is over.
        case over
        /// What was in flight was given up: it is gone on with as that says.
        case reset
        /// The same is tried once more.
        case again
        /// Somebody wants the run paused, or given up.
        case wish(BackfillRequest.Wish)
        /// It cannot be gone on with before somebody has mended that.
        case failed(String)
        /// The connection, or one statement: tried again.
        case postgres(PostgresError)
        /// The stream of the run's own.
        case target(StreamerError)
    }

    /// What one run needs while it goes on.
    struct Run: ~Copyable {
        var progress: BackfillProgress
        var sql: SQLConnection?
        var casts: JSONCasts
        /// Finds the values of rows that the database has to be asked about; nil: the table has none.
        var encoder: CastFinder?
        /// nil: the rows go into the live stream, or it is not opened yet.
        var target: BackfillTarget?
        var lastLookAt = Instant.now
        var lastRereadAt = Instant.now
        var pace: RowPace
        /// Keys that are looked up at a time: few where rows are large.
        var rereadLimit = BackfillReader.rereadChunkCount
        /// The role may not lock writers out.
        var mayNotLockOut = false
        /// How often a table without key was read in vain.
        var wholeAttemptCount = 0
        /// Why the table that is walked begins anew.
        var restartCause: String?
        /// It was emptied by an event.
        var isTruncated = false

        init(_ progress: BackfillProgress, _ casts: consuming JSONCasts) {
            self.progress = progress
            self.casts = casts
            pace = RowPace(rate: progress.request.rate)
        }
    }
}
