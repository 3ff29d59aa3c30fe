import Capture
package import History
import JetStreamPublishing
import PostgresReplication
import Threads
package import WAL

/// `verify --rows`: a table's rows at a snapshot beside what its events in the stream make of it.
///
/// The snapshot is taken first; then the stream has to hold all that committed before it was taken; then the events of the transactions that the snapshot shows are
/// folded, in the order of the stream, with the rows that backfills read by then, and each row of the table is held against its own. Memory is bounded: a large table is compared in several passes, of
/// which each reads stream and table for a part of the keys.
package enum RowsProof {
    package struct Difference: Sendable, Equatable {
        package enum Kind: String, Sendable {
            /// The table has it, the stream has not.
            case missing
            /// Both have it, with other values.
            case altered
            /// The stream has it, the table has not.
            case foreign
        }

        package var kind: Kind
        /// The values of its key, as JSON.
        package var key: String
        /// Those that differ.
        package var columns: [String] = []
        /// Of the row's last event.
        package var sequence: UInt64?
        package var lsn: LSN?
    }

    package struct Report: Sendable, Equatable {
        /// `schema.table`.
        package var table: String
        /// `pg_current_snapshot()`.
        package var snapshot: String
        /// The snapshot shows nothing that committed behind it.
        package var throughLSN: LSN
        /// Of the stream.
        package var firstSequence: UInt64
        package var throughSequence: UInt64
        /// Sequences between them that are not there.
        package var deletedSequences: UInt64 = 0
        /// Rows of the table that the stream has.
        package var compared = 0
        /// Of those, rows of which the stream does not know each column.
        package var partial = 0
        /// Rows that only the table has, and that are perhaps older than the stream.
        package var older = 0
        /// Rows that the stream has only as they were behind the snapshot, by a backfill.
        package var later = 0
        /// Events of the table's changes that were folded, rows of backfills that were, and what was not of both, because the snapshot does not show it.
        package var events = 0
        package var read = 0
        package var leftOut = 0
        /// Changes of the table that are in the stream without their data, in quarantine, or passed over.
        package var withheld = 0
        /// Gap markers.
        package var gaps = 0
        package var passes = 0
        package var hiddenColumns: [String]
        /// The first ones, in the order in which they were found.
        package var differences: [Difference] = []
        package var differenceCount = 0

        mutating func found(_ difference: Difference) {
            differenceCount += 1
            if differences.count < RowsProof.differenceLimit { differences.append(difference) }
        }
    }

    package struct Options: Sendable {
        /// Whether rows that only the table has are missing in the stream, however old they are.
        package var isStrict = false
        /// Of the rows that are held at a time, about.
        package var memoryByteLimit = 256 << 20

        package init(isStrict: Bool = false, memoryByteLimit: Int = 256 << 20) {
            self.isStrict = isStrict
            self.memoryByteLimit = memoryByteLimit
        }
    }

    /// Differences that are told one by one.
    package static let differenceLimit = 1_000
    /// A statement may read all of a large table before its first row comes.
    private static let statementTimeout = Duration.seconds(3_600)
    /// For a streamer to store what committed before the snapshot, while nothing moves.
    private static let patience = Duration.seconds(30)
    /// A transaction that commits within so long of the stream's beginning may have an id that is later than those of others that committed before it.
    static let beginningMicroseconds: Int64 = 10_000_000

    /// Compares.
    /// - Parameters:
    ///   - onWait: Told once how far the stream is behind the snapshot, if it is.
    ///   - onPass: Told of each pass: its number, and how many are known to follow.
    package static func run(
        _ configuration: StreamerConfiguration, table name: String, options: Options = Options(),
        onWait: (String) -> Void = { _ in }, onPass: (Int, Int) -> Void = { _, _ in }
    ) throws(StreamerError) -> Report {
        let sql = try StreamerError.ofPostgres { () throws(PostgresError) in
            try SQLConnection(configuration.source.connection, timeout: statementTimeout, isReadOnly: true)
        }
        let link = try NATSLink.connected(configuration.nats, stream: configuration.stream.name)
        defer { link.connection.close() }
        // All of it is seen at one moment, catalogue and rows.
        let (snapshot, text) = try StreamerError.ofPostgres { () throws(PostgresError) in
            try sql.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            return try TransactionSnapshot.taken(over: sql)
        }
        let table = try ProvenTable.read(name, configuration, sql: sql)
        try waitUntilStored(snapshot.lsn, configuration, sql, onWait)
        var proof = try Proof(configuration, table, snapshot, text, options, link.connection)
        var parts = [RowFold.Part()]
        while let part = parts.popLast() {
            onPass(proof.report.passes + 1, parts.count)
            parts += try proof.pass(part, sql)
        }
        return proof.report
    }

    /// Waits until PostgreSQL was told that all that commits before `lsn` is stored.
    private static func waitUntilStored(
        _ lsn: LSN, _ configuration: StreamerConfiguration, _ sql: borrowing SQLConnection, _ onWait: (String) -> Void
    ) throws(StreamerError) {
        var last = LSN.invalid
        var lastProgress = Instant.now
        var isTold = false
        while true {
            let slot = try StreamerError.ofPostgres { () throws(PostgresError) in try sql.slot(named: configuration.source.slot) }
            let confirmed = slot?.confirmedFlushLSN ?? .invalid
            if confirmed >= lsn { return }
            if confirmed > last {
                last = confirmed
                lastProgress = .now
            }
            if !isTold {
                onWait("the stream is \(lsn.byteCount(since: confirmed)) bytes of WAL behind the snapshot: waiting for the streamer")
                isTold = true
            }
            guard Instant.now.duration(since: lastProgress) < patience else {
                throw .stop(
                    .unreachable,
                    what: "the stream does not hold everything that was committed before the snapshot at \(lsn): \(confirmed) is confirmed, and nothing was confirmed for \(Int(patience.seconds)) s",
                    remedy: Steps.text(["Start the streamer: `slotstream run`", "Run this command again"]))
            }
            pause()
        }
    }
}
