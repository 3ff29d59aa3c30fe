import Capture
import History
import Logging
import Threads
import WAL

/// Tells of changes that were published as references or in quarantine, or passed over on purpose: counts each, and logs one line in a while for all of them, for anybody can cause any number.
struct PoisonReport {
    /// Between two lines.
    static let interval = Duration.seconds(10)

    private var counted = PoisonTally()
    private var loggedCount: UInt64 = 0
    private var lastLoggedAt: Instant?

    /// Counts what has come since the last call; logs it if a line is due.
    mutating func tell(_ tally: PoisonTally, to observations: Observations, _ logger: Logger, at now: Instant) {
        guard tally.count > loggedCount, let latest = tally.latest else { return }
        observations.poisoned(tally, since: counted)
        counted = tally
        if let lastLoggedAt, now.duration(since: lastLoggedAt) < Self.interval { return }
        logger.warning(
            "invalid events were published without data, in quarantine ({prefix}._slotstream.POISON), or passed over ({prefix}._slotstream.SKIP)",
            metadata: [
                "latest": "\(latest)", "since_last_line": .stringConvertible(tally.count - loggedCount),
                "references": .stringConvertible(tally.referredCount), "quarantined": .stringConvertible(tally.quarantinedCount),
                "skipped": .stringConvertible(tally.skippedCount),
            ])
        observations.failed(StopReason.poisonEvent.rawValue, "\(latest)")
        loggedCount = tally.count
        lastLoggedAt = now
    }
}
