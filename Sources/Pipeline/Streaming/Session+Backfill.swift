import Capture
import History
import PGOutput
import PostgresReplication
import Synchronization
import Threads
import WAL

/// Rows of a backfill, put in between transactions.
extension Session {
    /// While rows wait for it, how far the server has come is asked for so often.
    static var proofInterval: Duration { .milliseconds(20) }

    /// Puts in what waits, as far as there is room, where no transaction is under way.
    func placeRows() {
        guard let backfill, backfill.hasWork || !backfill.isReady, !isMending, reader.assembler.isHistoryProven, !reader.assembler.hasChanges else { return }
        if let last = window.lastAppended, !last.order.isOfBackfill, window.appendedCount.load(ordering: .relaxed) > placedCount { backfill.handedOn(at: port.now) }
        backfill.step(provenLSN: provenLSN) { reader.kindIndex(entity: $0, operation: $1) }
        placedCount = window.appendedCount.load(ordering: .relaxed)
        tracker.appended(count: placedCount)
        announceKinds()
    }

    /// How soon it is looked whether rows can go out that wait.
    var timeUntilRowsAreDue: Duration {
        guard let backfill else { return .seconds(1) }
        // In the midst of a transaction none can.
        if !reader.assembler.hasChanges, let time = backfill.restTime { return time }
        return backfill.awaitedLSN.map { $0 > provenLSN } ?? false ? Self.proofInterval : .seconds(1)
    }

    /// All that commits before `lsn` was handed on.
    func proved(upTo lsn: LSN) {
        if lsn > provenLSN { provenLSN = lsn }
    }

    /// Asks an idle server how far it has come, where rows wait for that.
    /// - Returns: Whether some do.
    func askForProof(at now: Instant) throws(StreamerError) -> Bool {
        guard let lsn = backfill?.awaitedLSN, lsn > provenLSN else { return false }
        guard lastProofQuestionAt.map({ now.duration(since: $0) >= Self.proofInterval }) ?? true, !port.hasUnsentOutput else { return true }
        lastProofQuestionAt = now
        do throws(PostgresError) {
            try port.sendStandbyStatus(written: schedule.receivedLSN, flushed: .invalid, applied: .invalid, replyRequested: true)
        } catch {
            throw .postgres(error)
        }
        return true
    }
}
