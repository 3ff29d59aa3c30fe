import Capture
import History
import Logging
import Threads
import WAL

/// Tells of changes that were published as references or in quarantine: counts each, and logs one line in a while for all of them, for anybody can cause any number.
struct PoisonReport {
    /// Between two lines.
    static let interval = Duration.seconds(10)

    private var countedReferences: UInt64 = 0
    private var countedQuarantined: UInt64 = 0
    private var loggedCount: UInt64 = 0
    private var lastLoggedAt: Instant?

    /// Counts what has come since the last call; logs it if a line is due.
    mutating func tell(_ tally: PoisonTally, to observations: Observations, _ logger: Logger, at now: Instant) {
        guard tally.count > loggedCount, let latest = tally.latest else { return }
        observations.meters.poisoned(
            references: Int64(tally.referredCount - countedReferences),
            quarantined: Int64(tally.quarantinedCount - countedQuarantined))
        countedReferences = tally.referredCount
        countedQuarantined = tally.quarantinedCount
        if let lastLoggedAt, now.duration(since: lastLoggedAt) < Self.interval { return }
        logger.warning(
            "invalid events were published without data or in quarantine ({prefix}._slotstream.POISON)",
            metadata: [
                "latest": "\(latest)", "since_last_line": .stringConvertible(tally.count - loggedCount),
                "references": .stringConvertible(tally.referredCount), "quarantined": .stringConvertible(tally.quarantinedCount),
            ])
        observations.failed(StopReason.poisonEvent.rawValue, "\(latest)")
        loggedCount = tally.count
        lastLoggedAt = now
    }
}
