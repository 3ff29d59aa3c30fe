import Threads
import WAL

/// Holds rows to a rate. A chunk goes out at once; what follows waits until the rate allows it.
struct RowPace {
    /// Rows a second; nil: no limit.
    private let rate: Int?
    private var nextAt = Instant.now

    init(rate: Int?) { self.rate = rate.flatMap { $0 > 0 ? $0 : nil } }

    /// Rows of a chunk, at most: no more than a twentieth of a second's.
    func limited(_ limit: Int) -> Int { rate.map { max(1, min(limit, $0 / 20)) } ?? limit }

    /// How long to wait after so many rows; nil: not at all.
    mutating func rest(after count: Int) -> Duration? {
        guard let rate else { return nil }
        let now = Instant.now
        // What was not used is not made up for.
        nextAt = max(nextAt, now) + .seconds(1) * count / rate
        let rest = nextAt.duration(since: now)
        return rest > .milliseconds(1) ? rest : nil
    }
}
