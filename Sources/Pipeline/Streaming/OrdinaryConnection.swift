import Capture
import Glibc
import History
import Logging
import PGOutput
import PostgresReplication
import WAL

/// The ordinary connection of a session, made anew whenever it is lost. It belongs to the session's thread.
final class OrdinaryConnection: SlotServer {
    /// Between two looks whether it has been made anew.
    static let reconnectionLookInterval = Duration.milliseconds(50)
    /// From its flush to its being shown a transaction takes this long at most, where nothing holds it up.
    static let visibilityPatience = Duration.milliseconds(250)

    private let source: StreamerConfiguration.Source
    private let columnRules: ColumnRules
    private let logger: Logger
    private var sql: SQLConnection
    /// It is being made anew.
    private var attempt: SQLConnectionAttempt?
    private(set) var isLost = false
    private(set) var questionError: PostgresError?
    private var hasAsked = false
    private var casts: JSONCasts
    /// Relations of which not all was shown when they were described, each with the transaction that may have changed it.
    private var provisional: [RelationID: TransactionID] = [:]
    /// How long the first thing that is not shown is waited for; none while transactions wait for a standby, which may be us.
    private var patience = OrdinaryConnection.visibilityPatience

    var whileWaiting: () -> Void = {} {
        didSet { sql.whileWaiting = whileWaiting }
    }

    init(
        _ sql: consuming SQLConnection, _ source: StreamerConfiguration.Source, casts: StreamerConfiguration.Casts,
        columnRules: ColumnRules, logger: Logger
    ) {
        self.sql = sql
        self.source = source
        self.columnRules = columnRules
        self.logger = logger
        self.casts = JSONCasts(casts) { sentence in logger.warning("a cast to json is not used", metadata: ["what": "\(sentence)"]) }
    }

    // MARK: - The connection

    var isConnecting: Bool { attempt != nil }
    var socket: Int32? { isLost ? nil : sql.socket }

    func takeHasAsked() -> Bool {
        defer { hasAsked = false }
        return hasAsked
    }

    func prepare() throws(PostgresError) { try casts.prepare() }

    func look() {
        if !isLost, sql.waitForShutdownNotice(timeout: .zero) { isLost = true }
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
        guard var made else { return false }
        self.attempt = nil
        made.whileWaiting = whileWaiting
        sql = made
        isLost = false
        return true
    }

    /// Makes it anew, and waits for it: for whoever cannot go on without an answer.
    private func reconnect() throws(PostgresError) {
        while true {
            if try hasReconnected() { return }
            whileWaiting()
            usleep(UInt32(Self.reconnectionLookInterval / .microseconds(1)))
        }
    }

    /// Asks over the connection, which is made anew if it was lost.
    private func ask<Answer>(
        _ question: (borrowing SQLConnection) throws(PostgresError) -> Answer
    ) throws(PostgresError) -> Answer {
        hasAsked = true
        do throws(PostgresError) {
            if isLost { try reconnect() }
            return try question(sql)
        } catch {
            isLost = true
            questionError = error
            throw error
        }
    }

    /// Asks; nil, with `questionError` set, if that fails.
    private func answer<Answer>(_ question: (borrowing SQLConnection) throws(PostgresError) -> Answer) -> Answer? {
        do throws(PostgresError) {
            return try ask(question)
        } catch {
            return nil
        }
    }

    /// Asks on the way to a message, which cannot be received without an answer.
    private func require<Answer>(
        _ question: (borrowing SQLConnection) throws(PostgresError) -> Answer
    ) throws(StreamerError) -> Answer {
        do throws(PostgresError) {
            return try ask(question)
        } catch {
            throw .postgres(error)
        }
    }

    // MARK: - Slot and publication

    func slot() throws(PostgresError) -> SlotState? { try sql.slot(named: source.slot, timeout: SlotLook.timeout) }

    func writtenLSN() throws(PostgresError) -> LSN { try sql.currentWALLSN(timeout: SlotLook.timeout) }

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

    // MARK: - Tables

    func describe(
        _ relation: Relation, of transactionID: TransactionID, for assembler: inout TransactionAssembler
    ) throws(StreamerError) -> StreamerError? {
        // Questions may take a while: statuses come before the next message.
        let hasRules = !columnRules.isEmpty
        var (isCertain, view) = (true, CatalogueView.whole)
        do throws(PostgresError) {
            hasAsked = true
            if isLost { try reconnect() }
            isCertain = try CatalogueReader.describe(
                relation, of: transactionID, named: casts.named, patience: patience, for: &assembler, over: sql)
            if hasRules { view = try CatalogueView.of(transactionID, over: sql) }
        } catch {
            isLost = true
            throw .postgres(error)
        }
        provisional[relation.id] = isCertain ? nil : transactionID
        patience = isCertain ? Self.visibilityPatience : .zero
        for name in assembler.types.withheldCasts { casts.withheld(name) }
        logger.debug(
            "table described",
            metadata: [
                "table": "\(relation.qualifiedName)", "columns": .stringConvertible(relation.columns.count),
                "identity": "\(relation.replicaIdentity)", "transaction": "\(transactionID)",
            ])
        return try columnRules.refusal(of: relation, in: view, sql: sql)
    }

    var hasProvisional: Bool { !provisional.isEmpty }

    func shownByNow() throws(StreamerError) -> [(RelationID, TransactionID)] {
        var shown: [(RelationID, TransactionID)] = []
        for (id, transactionID) in provisional {
            let isShown = try require { (sql) throws(PostgresError) in
                try CatalogueView.isShown(transactionID, over: sql)
            }
            if isShown { shown.append((id, transactionID)) }
        }
        for (id, _) in shown { provisional[id] = nil }
        return shown
    }

    func gone(among relations: [RelationID]) throws(StreamerError) -> (relations: Set<RelationID>, asOf: LSN) {
        try require { (sql) throws(PostgresError) in try CatalogueReader.gone(among: relations, over: sql) }
    }

    func json(of text: String, castFrom typeOID: UInt32) -> CastAnswer {
        answer { (sql) throws(PostgresError) in
            try casts.json(of: text, castFrom: typeOID, over: sql)
        } ?? .unavailable
    }

    func refresh(
        _ types: inout TypeCatalogue, of transactionID: TransactionID, for relationID: RelationID, _ typeOIDs: [UInt32]
    ) -> Bool {
        var refreshed = types
        refreshed.forget(typeOIDs)
        let isCertain = answer { (sql) throws(PostgresError) in
            let view = try CatalogueView.of(transactionID, over: sql)
            return try CatalogueReader.refresh(&refreshed, for: typeOIDs, in: view, named: casts.named, over: sql)
        }
        types = refreshed
        if isCertain == false { provisional[relationID] = transactionID }
        return isCertain != nil
    }
}
