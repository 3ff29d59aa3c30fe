import History
package import Logging
import PostgresReplication
import Synchronization
import Threads
import WAL

/// One line a minute: what a streamer is doing, for whoever has nothing but the log.
package struct ProgressLog {
    /// Between two lines.
    package static let interval = LongTime.progress.duration

    private let observations: Observations
    private var last: (at: Instant, eventCount: UInt64, times: StoredTimes)

    /// The first line tells of what happens from now on.
    package init(_ observations: Observations) {
        self.observations = observations
        last = (.now, observations.eventCount.load(ordering: .relaxed), observations.storedMemory.withLock { $0.times })
    }

    /// Logs the line.
    package mutating func report(to logger: Logger) {
        let (message, metadata) = line(at: .now)
        logger.info("\(message)", metadata: metadata)
    }

    /// What it says. What is not known is left out.
    mutating func line(at now: Instant) -> (message: String, metadata: Logger.Metadata) {
        let eventCount = observations.eventCount.load(ordering: .relaxed)
        let seconds = max(0.001, now.duration(since: last.at).seconds)
        let rate = Double(eventCount &- last.eventCount) / seconds
        let times = observations.storedMemory.withLock { $0.times }
        let storedTime = times.quantile(0.99, since: last.times)
        last = (now, eventCount, times)
        let texts = observations.texts.withLock { $0 }
        var metadata: Logger.Metadata = ["events": "\(rate < 10 ? Amount.tenths(rate) : "\(Int(rate.rounded()))")/s"]
        if let lag = observations.lagSeconds(at: now) { metadata["lag"] = "\(Amount.tenths(lag))s" }
        if let bytes = observations.lagByteCount(texts) { metadata["behind"] = "\(Amount.bytes(bytes, separator: ""))" }
        if let bytes = texts.slot?.retainedByteCount { metadata["wal_held"] = "\(Amount.bytes(bytes, separator: ""))" }
        let sequence = observations.lastSequence.load(ordering: .relaxed)
        if sequence > 0 { metadata["stream_seq"] = .stringConvertible(sequence) }
        if let storedTime { metadata["stored_p99"] = "\(Self.time(storedTime))" }
        let state = Self.state(texts)
        if state.isTrouble, let error = texts.refusal ?? texts.lastError?.message { metadata["error"] = "\(error)" }
        return (state.message, metadata)
    }

    private static func state(_ texts: Observations.Texts) -> (message: String, isTrouble: Bool) {
        switch texts.role {
        case .standby: return ("still standing by", false)
        case .stopped: return ("stopped", true)
        case .active: break
        }
        if texts.isConnected { return ("still streaming", false) }
        if !texts.isPostgresConnected || texts.isWalsenderSilent { return ("still waiting for \(Peer.postgres.name)", true) }
        if texts.isSlotHeld { return ("still waiting for \(Peer.nats.name)", true) }
        guard let awaited = texts.awaited else { return ("still starting", false) }
        return ("still waiting for \(awaited.name)", true)
    }

    /// `0.4ms`, `4ms`, `1.2s`.
    static func time(_ seconds: Double) -> String {
        if seconds < 0.001 { return Amount.tenths(seconds * 1000) + "ms" }
        return seconds < 1 ? "\(Int((seconds * 1000).rounded()))ms" : Amount.tenths(seconds) + "s"
    }
}
