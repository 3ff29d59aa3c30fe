import CLibPQ
public import WAL

/// A walsender session: identifies the server, makes slots, streams one.
///
/// Owned by the thread that made it. First commands, each of which waits for its answer up to a deadline; then
/// `startReplication`, after which only `receiveFrames`, `sendStandbyStatus` and `flush` mean something, none of which waits.
/// Closed when it goes; a temporary slot goes with it.
public struct ReplicationConnection: ~Copyable {
    let connection: LibPQConnection
    let stream = StreamState()
    let commandTimeout: Duration

    /// Connects with `replication=database` and pins the session's settings (`SessionSettings`).
    ///
    /// - Parameters:
    ///   - walSenderTimeoutMilliseconds: After how long without a sign of life the server drops this session, and with it its
    ///     hold on the slot; nil leaves the server's own.
    ///   - timeout: The longest that connecting may take, over all hosts, and then each command that names no other.
    ///   - onNotice: Told of each notice.
    /// - Throws: `PostgresError.connectionFailed`, `.connectionStringInvalid`, `.passwordMissing`; what the commands throw.
    public init(
        _ parameters: ConnectionParameters, walSenderTimeoutMilliseconds: Int? = nil, timeout: Duration = .seconds(30),
        onNotice: NoticeHandler? = nil
    ) throws(PostgresError) {
        let deadline = Deadline(after: timeout)
        let connection = try LibPQConnection.open(
            parameters, replication: "database", deadline: deadline, onNotice: onNotice)
        try SessionSettings.pin(
            connection, walSenderTimeoutMilliseconds: walSenderTimeoutMilliseconds, deadline: deadline)
        self.connection = connection
        self.commandTimeout = timeout
    }

    /// For poll(2); -1 once the connection is lost. It stays the same as long as the connection lives.
    public var socket: Int32 { connection.socket }
    /// As libpq gives it: 150018 is 15.18.
    public var serverVersion: Int { connection.serverVersion }
    /// The walsender's process, as `pg_stat_activity` shows it.
    public var backendPID: Int32 { connection.backendPID }
    /// The host that answered, as the connection string has it; the directory of a Unix socket.
    public var host: String { connection.host }
    public var port: String { connection.port }
    /// Host and port for people: `db1:5432`, `db1 (10.0.0.7):5432`.
    public var endpoint: String { connection.endpoint }

    /// In what way others could read or alter what goes over it; nil: it stays on this machine, or is encrypted to a server that was verified.
    public var exposure: String? { connection.exposure }

    /// Asks the server who it is and where its WAL ends.
    public func identifySystem() throws(PostgresError) -> SystemIdentity {
        let command = "IDENTIFY_SYSTEM"
        let rows = try connection.rows(command, deadline: Deadline(after: commandTimeout)).rows()
        guard let row = rows.first, row.count >= 4, let systemID = row[0].flatMap({ UInt64($0) }),
            let timeline = row[1].flatMap({ UInt32($0) }), let flushLSN = row[2].flatMap({ LSN($0) }),
            let database = row[3]
        else { throw .protocolViolation(message: "cannot read the answer to " + command) }
        return SystemIdentity(systemID: systemID, timeline: timeline, flushLSN: flushLSN, database: database)
    }

    /// Which WAL belongs to which ancestor of `timeline`, the server's current one.
    ///
    /// The first timeline has no history file: the server is not asked.
    public func timelineHistory(of timeline: UInt32) throws(PostgresError) -> TimelineHistory {
        guard timeline > 1 else { return TimelineHistory(currentTimeline: timeline) }
        let command = "TIMELINE_HISTORY \(timeline)"
        let rows = try connection.rows(command, deadline: Deadline(after: commandTimeout)).rows()
        guard let row = rows.first, row.count >= 2, let text = row[1],
            let history = TimelineHistory(currentTimeline: timeline, text: text)
        else { throw .protocolViolation(message: "cannot read the answer to " + command) }
        return history
    }

    /// Makes a logical slot with pgoutput, without exporting a snapshot.
    ///
    /// The server waits for the transactions that run at this moment. If that outlasts `timeout` it goes on waiting, and may
    /// make the slot after all, until its backend (`backendPID`) is cancelled.
    /// - Parameters:
    ///   - temporary: The slot belongs to this session and goes with it, or with the first command that the server refuses.
    ///   - failover: Keep the slot up to date on standbys. Means nothing before PostgreSQL 17 and for temporary slots.
    ///   - timeout: The connection's own when nil.
    /// - Throws: `PostgresError.server` 42710 (exists), 53400 (`max_replication_slots`), 55000 (`wal_level`), 42501;
    ///   `.timedOut`.
    public func createLogicalSlot(
        _ name: String, temporary: Bool = false, failover: Bool = false, timeout: Duration? = nil,
        isWanted: () -> Bool = { true }
    ) throws(PostgresError) -> CreatedSlot {
        var command = "CREATE_REPLICATION_SLOT " + quoteIdentifier(name)
        if temporary { command += " TEMPORARY" }
        command += " LOGICAL pgoutput"
        if serverVersion >= 150_000 {
            command += " (SNAPSHOT 'nothing'"
            if failover && !temporary && serverVersion >= 170_000 { command += ", FAILOVER true" }
            command += ")"
        } else {
            command += " NOEXPORT_SNAPSHOT"
        }
        let deadline = Deadline(after: timeout ?? commandTimeout)
        let rows = try connection.rows(command, deadline: deadline, isWanted: isWanted).rows()
        guard let row = rows.first, row.count >= 2, let name = row[0], let consistentPoint = row[1].flatMap({ LSN($0) })
        else { throw .protocolViolation(message: "cannot read the answer to " + command) }
        return CreatedSlot(name: name, consistentPoint: consistentPoint)
    }

    /// Copies a logical slot, which may be active, into a new one; a temporary one belongs to this session
    /// and goes with it, or with the first command that the server refuses.
    ///
    /// The copy starts where the source's `restart_lsn` and `confirmed_flush_lsn` are; it is never two-phase nor failover.
    /// - Returns: The copy's confirmed position.
    public func copyLogicalSlot(
        from source: String, to copy: String, temporary: Bool
    ) throws(PostgresError) -> LSN {
        let rows = try query(
            "SELECT lsn FROM pg_catalog.pg_copy_logical_replication_slot("
                + "\(quoteLiteral(source)), \(quoteLiteral(copy)), \(temporary))")
        guard let lsn = rows.first?.first?.flatMap({ LSN($0) }) else {
            throw .protocolViolation(message: "cannot read the answer to pg_copy_logical_replication_slot")
        }
        return lsn
    }

    /// Runs SQL on the walsender, by the simple protocol: no parameters.
    ///
    /// - Returns: The last statement's rows; nil is SQL NULL.
    public func query(_ sql: String, timeout: Duration? = nil) throws(PostgresError) -> [[String?]] {
        try connection.rows(sql, deadline: Deadline(after: timeout ?? commandTimeout)).rows()
    }

    /// Begins to stream `slot` by pgoutput.
    ///
    /// - Parameters:
    ///   - startLSN: The first transaction sent is the first whose commit record starts at or after it. Below the slot's
    ///     confirmed position the server silently starts there; above it, it silently skips.
    ///   - options: pgoutput's, in this order. The value of `publication_names` is a list of quoted identifiers.
    ///   - timeout: The connection's own when nil.
    /// - Throws: `PostgresError.server` 55006 (active elsewhere), 42704 (no such slot), 55000 (invalidated, in recovery).
    public mutating func startReplication(
        slot: String, at startLSN: LSN, options: [(name: String, value: String)], timeout: Duration? = nil
    ) throws(PostgresError) {
        var command = "START_REPLICATION SLOT \(quoteIdentifier(slot)) LOGICAL \(startLSN)"
        if !options.isEmpty {
            let list = options.map { quoteIdentifier($0.name) + " " + quoteReplicationLiteral($0.value) }
            command += " (" + list.joined(separator: ", ") + ")"
        }
        switch try connection.run(command, deadline: Deadline(after: timeout ?? commandTimeout)) {
        case .copyBoth: stream.phase = .streaming
        case .result: throw .protocolViolation(message: "the server does not stream in answer to START_REPLICATION")
        }
    }

    /// Ends the session now: the server releases the slot when it reads that.
    public consuming func close() {}
}
