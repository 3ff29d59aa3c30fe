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

    /// - Parameter most: The longest that this delay may be, and the next grows from.
    package mutating func delay(atMost most: Duration = Backoff.defaultLimit) -> Duration {
        let whole = min(next, most)
        next = min(whole * 2, limit)
        return whole * Double.random(in: 0.5...1)
    }

    package mutating func reset() { next = first }
}
