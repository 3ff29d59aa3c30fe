import Capture
import History
import PostgresReplication
import Threads
import WAL

/// Reading a range of WAL from beginning to end, for whoever has nothing else to do meanwhile.
extension ChangeReader {
    /// Between two signs of life, without which the server would end the session.
    private static var statusInterval: Duration { .seconds(1) }
    /// For a sink that is full, where nobody wakes this thread. Short: what a sink with a rate takes afterwards is a burst that a live stream waits behind.
    private static var fullWait: Duration { .milliseconds(1) }

    /// Reads all that commits before `end`, and waits for it. Nothing is confirmed: the slot, or its copy, stays where it is.
    ///
    /// - Parameters:
    ///   - server: Asked how far the server has written, on which a keepalive's position waits.
    ///   - sink: Takes the events.
    ///   - hasRoom: Whether the sink takes another event; where it does not, nothing is read until it does.
    ///   - turn: Called at least once a second. False: it is no longer wanted.
    /// - Returns: Whether all was read; false: it was no longer wanted.
    func read(
        before end: LSN, over server: some SlotServer, into sink: inout some EventSink & ~Copyable,
        hasRoom: () -> Bool = { true }, turn: () throws(StreamerError) -> Bool = { () throws(StreamerError) in true }
    ) throws(StreamerError) -> Bool {
        var schedule = StandbyStatusSchedule(startLSN: progress.endLSN, interval: Self.statusInterval)
        var gate = KeepaliveGate(serverEnd: .invalid)
        var pace = ReadingPace(at: port.now)
        while try turn() {
            guard hasRoom() else {
                try StreamerError.ofPostgres { () throws(PostgresError) in try tell(&schedule) }
                port.wait(isListening: false, orFor: nil, timeout: Self.fullWait)
                continue
            }
            var transactionCount = 0
            let (outcome, frameCount) = try read(until: end, into: &sink) { (step) throws(StreamerError) in
                switch step {
                case .message(_, let action, let walEnd):
                    schedule.received(walEnd)
                    if case .transactionEnded = action { transactionCount += 1 }
                    return hasRoom()
                case .keepalive(let walEnd, let isReplyRequested):
                    schedule.keepalive(walEnd)
                    if isReplyRequested { schedule.replyRequested() }
                    if let position = gate.received(walEnd, at: port.now) { try decoded(upTo: position) }
                }
                return true
            }
            if outcome == .reachedEnd { return true }
            var writtenLSN = LSN.invalid
            do throws(PostgresError) {
                try tell(&schedule)
                if gate.isHolding, server.isAskable { writtenLSN = try server.writtenLSN() }
            } catch {
                throw .postgres(error)
            }
            if let position = gate.serverWrote(upTo: writtenLSN) { try decoded(upTo: position) }
            let rest = pace.rest(afterFrames: frameCount, transactions: transactionCount, at: port.now)
            if rest > .zero { port.rest(rest) }
            if outcome == .stopped { continue }
            port.wait(isListening: outcome == .drained, orFor: nil, timeout: schedule.timeUntilDue(at: port.now))
        }
        return false
    }

    /// Sends the status that is due, and asks for a keepalive in return: an idle server says nothing by itself.
    private func tell(_ schedule: inout StandbyStatusSchedule) throws(PostgresError) {
        if port.hasUnsentOutput { try port.flush() }
        guard !port.hasUnsentOutput, let status = schedule.due(at: port.now, recordedLSN: .invalid) else { return }
        try port.sendStandbyStatus(
            written: status.writtenLSN, flushed: .invalid, applied: .invalid, replyRequested: true)
    }
}
