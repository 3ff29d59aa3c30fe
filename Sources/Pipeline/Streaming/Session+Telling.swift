import History
import Logging
import PGOutput
import Synchronization
import Threads
import WAL

/// What the log is told while a session streams, beside trouble.
extension Session {
    /// Once, when all that waited at the start is stored.
    func tellCaughtUp(storedLSN: LSN) {
        let eventCount = observations.eventCount.load(ordering: .relaxed)
        guard let done = backlog.stored(upTo: storedLSN, eventCount: eventCount, at: port.now) else { return }
        logger.notice(
            "caught up",
            metadata: [
                "events": .stringConvertible(done.eventCount), "wal": "\(Amount.bytes(done.byteCount, separator: ""))",
                "seconds": .stringConvertible(Int(done.time.seconds.rounded(.up))), "stored_lsn": "\(storedLSN)",
            ])
    }

    /// A line for each transaction, at its end.
    func trace(_ message: PGOutputMessage) {
        guard case .commit(let commit) = message else { return }
        logger.trace(
            "transaction received",
            metadata: [
                "transaction": "\(reader.progress.transaction.map { "\($0.id)" } ?? "unknown")", "commit_lsn": "\(commit.commitLSN)",
                "changes": .stringConvertible(reader.progress.changeCount),
            ])
    }
}
