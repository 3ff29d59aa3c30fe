/// How often an action is tried, and how long is waited between two attempts.
package struct RetryPolicy: Sendable, Equatable {
    /// How delays grow.
    package enum Strategy: String, CaseIterable, Sendable {
        /// Doubled each time, and up to a quarter more or less of it, so that many do not come back at the same moment.
        case exponential
        /// Longer by the first delay each time.
        case linear
        /// Always the first delay.
        case fixed
    }

    /// Attempts in all.
    package var maxAttempts = 3
    /// The delay after the first attempt.
    package var initialDelay = Duration.milliseconds(100)
    /// No delay is longer, but for the exponential one's quarter.
    package var maxDelay = Duration.milliseconds(30_000)
    /// How delays grow.
    package var strategy = Strategy.exponential

    /// FraiseQL's defaults.
    package init() {}

    /// How long to wait before the attempt that follows.
    /// - Parameters:
    ///   - attempt: How many attempts there were, 1 or more.
    ///   - random: From 0 to 1: which part of the jitter; 0.5 is none.
    package func delay(afterAttempt attempt: Int, random: Double) -> Duration {
        let first = max(initialDelay.components.seconds * 1000 + initialDelay.components.attoseconds / 1_000_000_000_000_000, 0)
        let limit = max(maxDelay.components.seconds * 1000 + maxDelay.components.attoseconds / 1_000_000_000_000_000, 0)
        let attempt = max(attempt, 1)
        switch strategy {
        case .fixed: return .milliseconds(first)
        case .linear: return .milliseconds(min(Self.product(first, Int64(attempt)), limit))
        case .exponential:
            // 2^62 is beyond every limit, and still a positive Int64.
            let whole = min(Self.product(first, 1 << Int64(min(attempt - 1, 62))), limit)
            let part = random.isFinite ? min(max(random, 0), 1) : 0.5
            return .milliseconds(whole - whole / 4) + .milliseconds(whole / 4) * (2 * part)
        }
    }

    /// The largest number instead of an overflow.
    private static func product(_ left: Int64, _ right: Int64) -> Int64 {
        let (product, overflow) = left.multipliedReportingOverflow(by: right)
        return overflow ? .max : product
    }
}
