import Capture
import History
import JetStreamPublishing
import Logging
import PostgresReplication
import Synchronization
import Threads
import WAL

/// What PostgreSQL is told: what is stored and recorded, and at the end the last of it.
extension Session {
    /// Hands on what may be recorded by now.
    func makeConfirmable() {
        tracker.stored(count: window.releasedCount.load(ordering: .acquiring))
        let confirmable = tracker.confirmableLSN
        guard confirmable.rawValue > delivery.confirmableLSN.load(ordering: .relaxed) else { return }
        backfill?.keep()
        delivery.confirmableLSN.store(confirmable.rawValue, ordering: .releasing)
        observations.storedLSN.store(confirmable.rawValue, ordering: .relaxed)
        tellCaughtUp(storedLSN: confirmable)
        delivery.wakePublisher()
    }

    /// Whether all that can be stored is stored, recorded, and, while the server listens, confirmed.
    func isSettled(_ isServerListening: Bool) -> Bool {
        delivery.isAllStored && !delivery.isRecordUnsettled
            && (!isServerListening || (schedule.confirmedLSN >= tracker.confirmableLSN && !port.hasUnsentOutput))
    }

    func confirm() throws(StreamerError) {
        makeConfirmable()
        if let statusError { throw .postgres(statusError) }
        do throws(PostgresError) {
            try sendDueStatus()
        } catch {
            throw .postgres(error)
        }
    }

    /// Confirms nothing that was not settled: it may be called in the middle of a message.
    func sendDueStatus() throws(PostgresError) {
        // A status that waits for the socket is not overtaken: it may be the one that confirms.
        if port.hasUnsentOutput { try port.flush() }
        if port.hasUnsentOutput { return }
        let recorded = LSN(delivery.recordedLSN.load(ordering: .acquiring))
        let now = port.now
        guard let status = schedule.due(at: now, recordedLSN: recorded) else { return }
        let isConfirming = status.flushedLSN > .invalid
        if isConfirming { failpoints.reached(.beforeStatus) }
        try port.sendStandbyStatus(
            written: status.writtenLSN, flushed: status.flushedLSN, applied: status.flushedLSN,
            replyRequested: silence.takeQuestion(at: now))
        if isTracing {
            logger.trace(
                "status for PostgreSQL",
                metadata: ["received_lsn": "\(status.writtenLSN)", "confirmed_lsn": "\(isConfirming ? "\(status.flushedLSN)" : "as before")"])
        }
        guard isConfirming else { return }
        failpoints.reached(.afterStatus)
        observations.confirmedLSN.store(schedule.confirmedLSN.rawValue, ordering: .relaxed)
    }

    /// However long the catalogue takes for its answers, one after another, the walsender hears of us: otherwise it would end the session, and
    /// the next one would ask all of it again.
    var statusesFlow: () -> Void {
        // The connection is this session's, and goes before it.
        { [unowned self] in
            observations.turned(.source)
            guard statusError == nil else { return }
            do throws(PostgresError) {
                try sendDueStatus()
            } catch {
                statusError = error
            }
        }
    }

    /// Reads nothing more, waits for the acks of what was handed on, confirms it.
    func drain() throws(StreamerError) {
        logger.notice("stopping: waiting for acks", metadata: ["retained": .stringConvertible(window.retainedCount)])
        delivery.isDraining.store(true, ordering: .releasing)
        delivery.wakePublisher()
        let deadline = port.now + configuration.delivery.shutdownTimeout
        while port.now < deadline {
            try turn(isReading: false)
            if isSettled(true) {
                logger.notice(
                    "stopped: all received changes are stored and confirmed",
                    metadata: ["confirmed_lsn": "\(schedule.confirmedLSN)"])
                return
            }
            if delivery.isAllStored, !delivery.connection.isConnected() {
                logger.notice(
                    "stopped: all received changes are stored; without NATS no more can be confirmed",
                    metadata: ["confirmed_lsn": "\(schedule.confirmedLSN)"])
                return
            }
            wait(isReading: false)
        }
        logger.warning(
            "stopped with events that are not known to be stored: the next start sends these events again",
            metadata: ["retained": .stringConvertible(window.retainedCount), "confirmed_lsn": "\(schedule.confirmedLSN)"])
    }
}
