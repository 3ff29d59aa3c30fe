import Threads
import WAL

/// The samples of an hour, and what is needed to take the next.
struct LastHour {
    /// Between two samples.
    static let interval = ProgressLog.interval / sampleCountPerLine
    /// Samples from one line of the progress log to the next.
    static let sampleCountPerLine = 6
    /// Samples that are kept.
    static let limit = 360

    struct Sample {
        var lagSeconds: Double?
        var lagBytes: UInt64?
        var retainedBytes: UInt64?
        var eventsPerSecond: Double
        var storedP99: Double?
    }

    private(set) var samples: [Sample] = []
    /// When the newest sample was taken.
    private(set) var takenAt: PostgresTimestamp?
    private var last: (at: Instant, eventCount: UInt64, times: StoredTimes)?

    /// Takes what was stored since the last sample; the first one only begins.
    mutating func take(_ sample: Sample, eventCount: UInt64, times: StoredTimes, at now: Instant, wallClock: PostgresTimestamp) {
        defer { last = (now, eventCount, times) }
        guard let last else { return }
        var sample = sample
        sample.eventsPerSecond = Double(eventCount &- last.eventCount) / max(0.001, now.duration(since: last.at).seconds)
        sample.storedP99 = times.quantile(0.99, since: last.times)
        if samples.count == Self.limit { samples.removeFirst() }
        samples.append(sample)
        takenAt = wallClock
    }
}
