import Glibc
import History
import Logging
import PostgresReplication
import Threads
import WAL

/// The ordinary connection of a session, made anew whenever it is lost. It belongs to the session's thread, which lends it to whoever asks about tables.
final class OrdinaryConnection: SlotServer {
    /// Between two looks whether it has been made anew.
    static let reconnectionLookInterval = Duration.milliseconds(50)

    private let source: StreamerConfiguration.Source
    private let logger: Logger
    /// nil: it is lent.
    private var sql: SQLConnection?
    /// It is being made anew.
    private var attempt: SQLConnectionAttempt?
    private(set) var isLost = false
    private(set) var questionError: PostgresError?
    var whileWaiting: () -> Void = {}

    init(_ sql: consuming SQLConnection, _ source: StreamerConfiguration.Source, logger: Logger) {
        self.sql = consume sql
        self.source = source
        self.logger = logger
    }

    // MARK: - The connection

    var isAskable: Bool { !isLost && sql != nil }
    var isConnecting: Bool { attempt != nil }
    var socket: Int32? { isLost ? nil : sql?.socket }

    func look() {
        if !isLost, sql?.waitForShutdownNotice(timeout: .zero) ?? false { isLost = true }
    }

    func lost() { isLost = true }

    func hasReconnected() throws(PostgresError) -> Bool {
        // Names may be resolved slowly, and nothing is read by somebody who waits for that.
        guard let attempt else {
            attempt = SQLConnectionAttempt(
                source.connection, timeout: Streamer.connectTimeout, isReadOnly: true,
                onNotice: Streamer.noticeHandler(logger))
            return false
        }
        let made: SQLConnection?
        do throws(PostgresError) {
            made = try attempt.take()
        } catch {
            self.attempt = nil
            throw error
        }
        guard let made else { return false }
        self.attempt = nil
        sql = consume made
        isLost = false
        return true
    }

    /// Gives the connection to somebody who asks on another thread; nil: it is lost, or lent already. Meanwhile nothing else can be asked.
    func lend() -> SQLConnection? {
        guard isAskable else { return nil }
        sql?.whileWaiting = {}
        return sql.take()
    }

    /// Takes it back; nil: it was lost there.
    func giveBack(_ connection: consuming SQLConnection?) {
        isLost = connection == nil
        sql = connection
    }

    // MARK: - Questions

    func slot() throws(PostgresError) -> SlotState? {
        try asked { (sql) throws(PostgresError) in try sql.slot(named: source.slot, timeout: SlotLook.timeout) }
    }

    func writtenLSN() throws(PostgresError) -> LSN {
        try asked { (sql) throws(PostgresError) in try sql.currentWALLSN(timeout: SlotLook.timeout) }
    }

    func publicationState() -> PublicationState? {
        answer { (sql) throws(PostgresError) in
            try PublicationState.read(source, over: sql, timeout: CatalogueReader.timeout)
        }
    }

    func publicationContents(
        ifChanged isChanged: (_ mark: String?) -> Bool
    ) -> (mark: String?, contents: PublicationContents)? {
        // The mark first: what changes in between makes another one.
        let mark = answer { (sql) throws(PostgresError) in
            try PublicationContents.changeMark(over: sql, timeout: SlotLook.timeout)
        }
        guard let mark, isChanged(mark) else { return nil }
        let contents = answer { (sql) throws(PostgresError) in
            try PublicationContents.read(source.publication, over: sql, timeout: SlotLook.timeout)
        }
        guard let contents, let contents else { return nil }
        return (mark, contents)
    }

    func advanceSlot(to lsn: LSN) -> LSN? {
        answer { (sql) throws(PostgresError) in
            try sql.advanceSlot(source.slot, to: lsn, timeout: SlotLook.timeout)
        }
    }

    /// Asks over the connection; nil, with `questionError` set, if that fails. It is made anew, and waited for, where it was lost.
    private func answer<Answer>(_ question: (borrowing SQLConnection) throws(PostgresError) -> Answer) -> Answer? {
        do throws(PostgresError) {
            if isLost { try reconnect() }
            return try asked(question)
        } catch {
            // One that is lent is not lost: that whoever has it finds out.
            if sql != nil { isLost = true }
            questionError = error
            return nil
        }
    }

    private func asked<Answer>(
        _ question: (borrowing SQLConnection) throws(PostgresError) -> Answer
    ) throws(PostgresError) -> Answer {
        guard var connection = sql.take() else { throw .connectionLost(message: "the connection is lent") }
        connection.whileWaiting = whileWaiting
        do throws(PostgresError) {
            let answer = try question(connection)
            sql = consume connection
            return answer
        } catch {
            sql = consume connection
            throw error
        }
    }

    private func reconnect() throws(PostgresError) {
        while true {
            if try hasReconnected() { return }
            whileWaiting()
            usleep(UInt32(Self.reconnectionLookInterval / .microseconds(1)))
        }
    }
}
