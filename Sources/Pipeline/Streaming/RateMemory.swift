import History
import WAL

/// What was counted in the last minute, for rates: a sample each time that PostgreSQL is asked.
struct RateMemory: Sendable {
    /// Rates are an average over so long.
    static let span = Duration.seconds(60)
    /// Samples closer together tell nothing more.
    private static let spacing = Duration.seconds(1)

    /// What was seen longer ago is no rate of now.
    private static let freshness = Duration.seconds(15)

    private struct Sample: Sendable {
        var at: Instant
        var walLSN: LSN
        var eventCount: UInt64
    }

    /// Oldest first.
    private var samples: [Sample] = []

    /// What stands now.
    mutating func saw(walLSN: LSN, eventCount: UInt64, at now: Instant) {
        if let last = samples.last {
            // Another server, or one that was restored.
            if walLSN < last.walLSN { samples.removeAll() }
            if now.duration(since: last.at) < Self.spacing { return }
        }
        samples.append(Sample(at: now, walLSN: walLSN, eventCount: eventCount))
        // One that is older than the span stays: what it begins.
        while samples.count > 2, now.duration(since: samples[1].at) >= Self.span { samples.removeFirst() }
    }

    /// The last minute's; nil: nobody has looked lately, or not for long enough to tell.
    func rates(at now: Instant) -> StreamerStatus.Rates? {
        guard let last = samples.last, now.duration(since: last.at) < Self.freshness else { return nil }
        return latest
    }

    /// Those of the last time that was looked at, however long ago; nil: not long enough to tell.
    var latest: StreamerStatus.Rates? {
        guard let first = samples.first, let last = samples.last else { return nil }
        let seconds = last.at.duration(since: first.at).seconds
        guard seconds >= 1 else { return nil }
        return StreamerStatus.Rates(
            eventsPerSecond: Double(last.eventCount &- first.eventCount) / seconds,
            walBytesPerSecond: Double(last.walLSN.byteCount(since: first.walLSN)) / seconds, seconds: seconds)
    }
}
