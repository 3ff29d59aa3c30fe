/// Delays between attempts: doubled up to a limit, each somewhere between half and the whole of it, for ever.
package struct Backoff: Sendable {
    /// Where nothing else is said.
    package static let defaultLimit = Duration.seconds(10)

    private let first: Duration
    private let limit: Duration
    private var next: Duration

    package init(first: Duration = .milliseconds(100), limit: Duration = Backoff.defaultLimit) {
        self.first = first
        self.limit = limit
        next = first
    }

    /// - Parameters:
    ///   - most: The longest that this delay may be, and the next grows from.
    ///   - random: Any number: which part of it the delay is.
    package mutating func delay(
        atMost most: Duration = Backoff.defaultLimit, random: UInt64 = .random(in: .min ... .max)
    ) -> Duration {
        let whole = min(next, most)
        next = min(whole * 2, limit)
        return whole * (0.5 + Double(random) / Double(UInt64.max) / 2)
    }

    package mutating func reset() { next = first }
}
