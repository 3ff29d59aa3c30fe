import History
import JetStreamPublishing
import Logging
import Synchronization
import Threads
import WAL

/// What libnats does not find its way out of by itself: the session is ended, and a new one connects with what files say by now.
extension ChainedPublisher {
    /// From the loss of the connection to the first attempt beside libnats', and between two of them.
    static var wayBackInterval: Duration { .seconds(5) }
    /// After an attempt that succeeded libnats' own is waited for so long.
    static var wayBackGrace: Duration { .seconds(2) }
    /// A wall clock that is set back by less than this holds nothing up for longer.
    static var clockStepLimit: Duration { .milliseconds(500) }

    /// libnats goes on for ever with the certificates that it read when it connected, and tells nobody why it is refused: a connection of its own, made beside it, does.
    /// - Throws: What retrying cannot mend; `.notConnected` when a new connection is taken and libnats' is not.
    func lookForWayBack() throws(StreamerError) {
        guard configuration.nats.usesTLS else { return }
        let now = port.now
        let since = lastAttemptBeside ?? now
        if lastAttemptBeside == nil { lastAttemptBeside = now }
        guard now.duration(since: since) >= Self.wayBackInterval else { return }
        defer { lastAttemptBeside = port.now }
        do throws(StreamerError) {
            try port.connectBeside(configuration.nats, stream: configuration.stream.name) {
                observations.turned(.delivery)
                return !handover.isStopRequested.load(ordering: .acquiring)
            }
        } catch {
            // A libnats that hangs there hangs here too, and is found by its own probe.
            if case .jetStream(.wedged) = error { return }
            if case .stop = FailurePolicy.verdict(on: error) { throw error }
            logger.log(level: isReadTroubleTold ? .debug : .info, "cannot connect to NATS yet", metadata: ["error": "\(error)"])
            isReadTroubleTold = true
            return
        }
        pause(Self.wayBackGrace)
        guard !port.isConnected, !handover.isStopRequested.load(ordering: .acquiring) else { return }
        throw .jetStream(.notConnected("the old connection does not come back, a new connection works"))
    }

    /// libnats waits by the wall clock: a step back makes it sleep until that time has come again.
    /// - Throws: `.notConnected` after such a step.
    func requireSteadyClock() throws(StreamerError) {
        let offset = port.wallClockOffset
        guard offset < clockOffset - Self.clockStepLimit else {
            clockOffset = max(clockOffset, offset)
            return
        }
        throw .jetStream(
            .notConnected("the wall clock was set back by \((clockOffset - offset).milliseconds) ms"))
    }

    /// Waits for libnats, but not longer than until something arrives that matters.
    private func pause(_ duration: Duration) {
        let end = port.now + duration
        while !handover.isStopRequested.load(ordering: .acquiring), port.now < end {
            observations.turned(.delivery)
            observe()
            port.wait(timeout: min(end.duration(since: port.now), .milliseconds(250)))
            takeEvents()
        }
    }
}
