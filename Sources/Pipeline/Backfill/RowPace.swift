import Threads
import WAL

/// Holds rows to a rate. A chunk goes out at once; what follows waits until the rate allows it.
struct RowPace {
    /// Rows a second; nil: no limit.
    private let rate: Int?
    private var nextAt: Instant
    private static let makingUpLimit = Duration.milliseconds(250)

    init(rate: Int?, at now: Instant = .now) {
        self.rate = rate.flatMap { $0 > 0 ? $0 : nil }
        nextAt = now
    }

    /// Rows of a chunk, at most: no more than go out in a tenth of a second at that rate, or in half a second beside live events, where each costs them something.
    /// - Parameter liveRate: Rows a second beside live events; nil: there are none of those.
    func limited(_ limit: Int, liveRate: Double?) -> Int {
        var limit = limit
        if let rate { limit = min(limit, rate / 10) }
        if let liveRate { limit = min(limit, Int(liveRate / 2)) }
        return max(1, limit)
    }

    /// How long to wait after so many rows; nil: not at all.
    mutating func rest(after count: Int, at now: Instant = .now) -> Duration? {
        guard let rate else { return nil }
        // What the reading took is made up for, a longer wait is not.
        if now.duration(since: nextAt) > Self.makingUpLimit { nextAt = now }
        nextAt = nextAt + .seconds(1) * count / rate
        let rest = nextAt.duration(since: now)
        return rest > .milliseconds(1) ? rest : nil
    }
}
