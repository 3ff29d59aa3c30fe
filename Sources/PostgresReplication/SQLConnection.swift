import CLibPQ
import Glibc
public import WAL

/// An ordinary session on the same database: questions to the catalogue, slots, publications.
///
/// Owned by the thread that made it. Each call waits for its answer up to a deadline. Closed when it goes.
public struct SQLConnection: ~Copyable {
    let connection: LibPQConnection
    private let commandTimeout: Duration
    /// Called ten times a second while an answer to `query` is waited for; it must not use this connection.
    public var whileWaiting: () -> Void

    /// Connects and pins the session's settings, the same as a `ReplicationConnection`'s.
    ///
    /// - Parameters:
    ///   - timeout: The longest that connecting may take, over all hosts, and then each command that names no other.
    ///   - isReadOnly: Whether the server refuses what writes.
    ///   - isDirect: Whether a pooler is refused: our settings would stay on a session that is another's next, and what was prepared on ours would be on another.
    ///   - onNotice: Told of each notice.
    ///   - whileWaiting: Called ten times a second while it connects, and then as the property of this name.
    /// - Throws: `PostgresError.connectionFailed`; what `query` throws.
    public init(
        _ parameters: ConnectionParameters, timeout: Duration = .seconds(30), isReadOnly: Bool = false, isDirect: Bool = false,
        onNotice: NoticeHandler? = nil, whileWaiting: @escaping () -> Void = {}
    ) throws(PostgresError) {
        let deadline = Deadline(after: timeout)
        let connection = try LibPQConnection.open(
            parameters, replication: "false", deadline: deadline, onNotice: onNotice, whileWaiting: whileWaiting)
        if isDirect { try Self.requireNoPooler(connection, deadline) }
        try SessionSettings.pin(connection, walSenderTimeoutMilliseconds: nil, deadline: deadline)
        _ = try connection.rows(
            SessionSettings.ordinaryCommand(timeout: timeout, isReadOnly: isReadOnly), deadline: deadline)
        self.connection = connection
        self.commandTimeout = timeout
        self.whileWaiting = whileWaiting
    }

    /// A pooler makes up the number of the process that its client is told.
    private static func requireNoPooler(_ connection: borrowing LibPQConnection, _ deadline: Deadline) throws(PostgresError) {
        guard try connection.rows("SELECT pg_catalog.pg_backend_pid()", deadline: deadline).rows().first?.first != String(connection.backendPID) else { return }
        throw .connectionFailed(message: "a connection pooler answers, and not PostgreSQL itself", sqlState: "08P01")
    }

    /// For poll(2); -1 once the connection is lost.
    public var socket: Int32 { connection.socket }
    /// As libpq gives it: 150018 is 15.18.
    public var serverVersion: Int { connection.serverVersion }
    public var backendPID: Int32 { connection.backendPID }
    /// The host that answered, as the connection string has it; the directory of a Unix socket.
    public var host: String { connection.host }
    public var port: String { connection.port }
    /// Host and port for people: `db1:5432`, `db1 (10.0.0.7):5432`.
    public var endpoint: String { connection.endpoint }

    /// Runs one statement with `$1`… taken from `parameters`, all of them text; nil is SQL NULL.
    ///
    /// - Returns: Its rows as text; none for a statement that gives none.
    /// - Throws: `PostgresError`; it shows `sql` cut to 200 characters, never the parameters.
    public func query(
        _ sql: String, _ parameters: [String?] = [], timeout: Duration? = nil
    ) throws(PostgresError) -> [[String?]] {
        let deadline = Deadline(after: timeout ?? commandTimeout)
        do throws(PostgresError) {
            switch try connection.run(
                sql, parameters: parameters, deadline: deadline,
                isWanted: {
                    whileWaiting()
                    return true
                })
            {
            case .result(let result): return result.rows()
            case .copyBoth: throw .protocolViolation(message: "an ordinary session streams")
            }
        } catch {
            if case .timedOut = error { CancelRequest.send(for: connection.handle) }
            throw error
        }
    }

    /// Runs SQL for what it does: one statement with parameters, or several without.
    public func execute(
        _ sql: String, _ parameters: [String?] = [], timeout: Duration? = nil
    ) throws(PostgresError) {
        if parameters.isEmpty {
            do throws(PostgresError) {
                _ = try connection.rows(sql, deadline: Deadline(after: timeout ?? commandTimeout))
            } catch {
                if case .timedOut = error { CancelRequest.send(for: connection.handle) }
                throw error
            }
        } else {
            _ = try query(sql, parameters, timeout: timeout)
        }
    }

    /// The database that this session is on.
    public func databaseOID() throws(PostgresError) -> UInt32 {
        let sql = "SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()"
        guard let oid = try query(sql).first?.first?.flatMap({ UInt32($0) }) else {
            throw .protocolViolation(message: "cannot read the answer to: " + sql)
        }
        return oid
    }

    /// The name of the database that this session is on.
    public func databaseName() throws(PostgresError) -> String {
        let sql = "SELECT pg_catalog.current_database()"
        guard let name = try query(sql).first?.first.flatMap({ $0 }) else {
            throw .protocolViolation(message: "cannot read the answer to: " + sql)
        }
        return name
    }

    /// The server is a standby, or recovers to a point in time.
    public func isInRecovery() throws(PostgresError) -> Bool {
        try query("SELECT pg_catalog.pg_is_in_recovery()").first?.first == "t"
    }

    /// How far the server has written; in recovery, replayed.
    public func currentWALLSN(timeout: Duration? = nil) throws(PostgresError) -> LSN {
        let sql = "SELECT " + Self.currentWALLSNExpression
        guard let lsn = try query(sql, timeout: timeout).first?.first?.flatMap({ LSN($0) }) else {
            throw .protocolViolation(message: "cannot read the answer to: " + sql)
        }
        return lsn
    }

    /// `pg_current_wal_lsn()` is an error on a server in recovery.
    static let currentWALLSNExpression =
        "CASE WHEN pg_catalog.pg_is_in_recovery()"
        + " THEN coalesce(pg_catalog.pg_last_wal_replay_lsn(), '0/0'::pg_catalog.pg_lsn)"
        + " ELSE pg_catalog.pg_current_wal_lsn() END"

    /// Waits up to `timeout` for the server to end this session, which asked nothing: a shutdown of the server ends ordinary
    /// sessions first, and waits for walsenders after that.
    ///
    /// - Returns: True when the server said that it ends the session (57P01 and its like), or has closed it. Zero as `timeout`
    ///   only looks.
    public func waitForShutdownNotice(timeout: Duration) -> Bool {
        let deadline = Deadline(after: timeout)
        while true {
            if connection.isBroken || connection.sessionEnd != nil { return true }
            guard deadline.wait(for: socket, events: POLLIN) != 0 else { return false }
            let isOpen = PQconsumeInput(connection.handle) == 1
            // Has libpq look at what it has read; a message that answers no query goes to the notice receiver.
            _ = PQisBusy(connection.handle)
            if !isOpen { return true }
        }
    }

    /// Ends the session now.
    public consuming func close() {}
}
