import Capture
import Glibc
import History
import PGOutput
import PostgresReplication
import Threads
import WAL

/// Reads what a slot holds, over a connection of its own, without confirming anything: whether the server can send it.
final class SlotProbe {
    /// Between two statuses.
    private static let statusInterval = Duration.milliseconds(500)
    /// An idle server is asked how far it is after this long.
    private static let patience = Duration.milliseconds(50)

    /// For a server to notice that its client has gone.
    private static let releaseTime = Duration.seconds(30)

    private let source: StreamerConfiguration.Source
    private let messagePrefixes: Set<[UInt8]>
    /// The event with which the stream ends; nil: none.
    private let storedPosition: Position?
    /// What commits before it is stored whole.
    private let storedLSN: LSN
    /// What the server had when it was asked to send.
    private var serverEnd = LSN.invalid
    private var decoder = PGOutputDecoder()
    private var progress: SlotProgress
    private var decodedLSN = LSN.invalid
    private var failure: StreamerError?
    /// The walsender.
    private var holderPID: Int32?
    private let doubt = PublicationDoubt()
    /// Whole transactions, and messages outside of them, that were sent and are not stored.
    private(set) var unstoredCount = 0

    private init(_ configuration: StreamerConfiguration, from startLSN: LSN, storedLSN: LSN, storedPosition: Position?) {
        source = configuration.source
        messagePrefixes = Set(configuration.capture.messagePrefixes.map { Array($0.utf8) })
        self.storedLSN = storedLSN
        self.storedPosition = storedPosition
        progress = SlotProgress(startLSN: startLSN)
    }

    /// What is in the way of whoever streams from `startLSN` on, and how much before it is not stored; nil: nothing, up to the server's end.
    ///
    /// - Parameters:
    ///   - storedLSN: What commits before it is stored whole.
    ///   - storedPosition: The event with which the stream ends.
    ///   - stopsAtFirst: Whether one whole transaction is enough.
    /// - Throws: `.slotActive`; what the connections throw.
    static func obstacle(
        _ configuration: StreamerConfiguration, from startLSN: LSN, storedLSN: LSN, storedPosition: Position?,
        stopsAtFirst: Bool = false, sql: borrowing SQLConnection
    ) throws(StreamerError) -> (obstacle: SlotObstacle, unstoredCount: Int)? {
        let probe = SlotProbe(configuration, from: startLSN, storedLSN: storedLSN, storedPosition: storedPosition)
        let obstacle = try probe.read(stopsAtFirst: stopsAtFirst, sql: sql)
        try probe.waitUntilReleased(sql)
        return obstacle.map { ($0, probe.unstoredCount) }
    }

    /// The connection is closed by now; the server lets go of the slot when it has seen that.
    private func waitUntilReleased(_ sql: borrowing SQLConnection) throws(StreamerError) {
        let deadline = Instant.now + Self.releaseTime
        while Instant.now < deadline {
            let slot = try StreamerError.ofPostgres { () throws(PostgresError) in try sql.slot(named: source.slot) }
            guard slot?.activePID == holderPID else { return }
            usleep(10_000)
        }
    }

    private func read(stopsAtFirst: Bool, sql: borrowing SQLConnection) throws(StreamerError) -> SlotObstacle? {
        let doubt = doubt
        var replication = try StreamerError.ofPostgres { () throws(PostgresError) in
            try ReplicationConnection(source.connection, onNotice: { doubt.heard($0) })
        }
        do throws(PostgresError) {
            try replication.takeBytesOfNoEncoding()
            serverEnd = try replication.identifySystem().flushLSN
            try replication.startReplication(
                slot: source.slot, at: progress.endLSN,
                options: source.options(quotedPublication: quoteIdentifier(source.publication)))
        } catch {
            throw error.isObjectInUse ? .slotActive(nil) : .postgres(error)
        }
        holderPID = replication.backendPID
        doubt.dismiss()
        var lastStatusAt: Instant?
        while true {
            let isIdle: Bool
            do throws(PostgresError) {
                isIdle = try receive(&replication)
            } catch {
                // What came before it is all there is.
                if let found = try obstacle(error, sql) { return found }
                throw .postgres(error)
            }
            if let failure { throw failure }
            if doubt.isRaised {
                if try !isPublicationSure(sql) { return SlotObstacle(.publicationMissing, progress) }
                doubt.dismiss()
            }
            if progress.transaction == nil, decodedLSN >= serverEnd || (stopsAtFirst && progress.transactionCount > 0) {
                return nil
            }
            try report(&replication, &lastStatusAt, isIdle: isIdle)
        }
    }

    /// Takes what has arrived, up to the first warning; waits a little when there is nothing.
    private func receive(_ replication: inout ReplicationConnection) throws(PostgresError) -> Bool {
        let outcome: ReceiveOutcome
        do throws(ReceiveError<Never>) {
            outcome = try replication.receiveFrames(
                onXLogData: { (_, _, _, payload) throws(Never) in self.received(payload) },
                onKeepalive: { (walEnd, _, _) throws(Never) in
                    if self.doubt.isRaised { return .stop }
                    self.progress.decoded(upTo: walEnd)
                    self.decodedLSN = max(self.decodedLSN, walEnd)
                    return .proceed
                })
        } catch {
            switch error {
            case .postgres(let error): throw error
            }
        }
        switch outcome {
        case .stopped: return false
        case .ended: throw .connectionLost(message: "the server is shutting down")
        case .drained: break
        }
        var descriptor = pollfd(fd: replication.socket, events: Int16(POLLIN), revents: 0)
        return poll(&descriptor, 1, Int32(Self.patience.milliseconds)) == 0
    }

    private func received(_ payload: borrowing RawSpan) -> FrameContinuation {
        if doubt.isRaised { return .stop }
        do throws(PGOutputError) {
            let message = try decoder.decode(payload)
            switch message {
            case .commit(let commit) where commit.commitLSN >= storedLSN: unstoredCount += 1
            case .message(let message) where !message.isTransactional && isUnstored(message, payload): unstoredCount += 1
            default: break
            }
            progress.received(message)
            return .proceed
        } catch {
            failure = .decoding(error, at: progress.endLSN)
            return .stop
        }
    }

    private func isUnstored(_ message: LogicalMessage, _ payload: borrowing RawSpan) -> Bool {
        guard message.lsn > storedLSN, storedPosition.map({ $0 < Position(commitLSN: message.lsn, ordinal: 0) }) ?? true
        else { return false }
        return messagePrefixes.contains(payload.withUnsafeBytes { Array($0[message.prefix.start..<message.prefix.end]) })
    }

    private func report(
        _ replication: inout ReplicationConnection, _ lastStatusAt: inout Instant?, isIdle: Bool
    ) throws(StreamerError) {
        guard isIdle || lastStatusAt.map({ Instant.now.duration(since: $0) >= Self.statusInterval }) ?? true else { return }
        do throws(PostgresError) {
            try replication.sendStandbyStatus(
                written: max(decodedLSN, progress.endLSN), flushed: .invalid, applied: .invalid, replyRequested: isIdle)
            lastStatusAt = .now
        } catch {
            // Why it ended is for the next turn to read.
            if case .server = error { return }
            throw .postgres(error)
        }
    }

    private func isPublicationSure(_ sql: borrowing SQLConnection) throws(StreamerError) -> Bool {
        try StreamerError.ofPostgres { () throws(PostgresError) in
            try PublicationState.read(source, over: sql).isOlderThanSlot
        }
    }

    private func obstacle(_ error: PostgresError, _ sql: borrowing SQLConnection) throws(StreamerError) -> SlotObstacle? {
        guard case .server = error else { return nil }
        return SlotObstacle(error, progress, isPublicationSure: try isPublicationSure(sql))
    }
}
