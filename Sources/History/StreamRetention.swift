package import JetStreamPublishing
package import WAL

/// How much of a stream's retention lies before a message is removed: by age, size and number, whichever is nearest.
package struct StreamRetention: Sendable {
    private let config: StreamInfo.Config
    private let state: StreamInfo.State
    private let now: PostgresTimestamp

    /// - Parameter now: By our clock; a server whose newest message is later is believed.
    package init(_ info: StreamInfo, now: PostgresTimestamp) {
        config = info.config
        state = info.state
        self.now = max(now, PostgresTimestamp(rfc3339: info.state.lastTime) ?? now)
    }

    /// The share that is left, 0 to 1: 0 for a message that is gone or goes next, 1 where nothing removes it.
    ///
    /// Size and age of what lies between the stream's ends are reckoned in proportion to the sequence.
    package func left(before sequence: UInt64) -> Double {
        guard state.messages > 0, sequence <= state.lastSequence else { return 1 }
        guard sequence >= state.firstSequence else { return 0 }
        let span = Double(state.lastSequence - state.firstSequence) + 1
        let behind = (Double(state.lastSequence - sequence) + 1) / span
        var shares: [Double] = []
        if config.discard == "old" {
            if config.maxBytes > 0 { shares.append(1 - behind * Double(state.bytes) / Double(config.maxBytes)) }
            if config.maxMessages > 0 { shares.append(1 - behind * Double(state.messages) / Double(config.maxMessages)) }
        }
        if config.maxAgeNanoseconds > 0, let first = PostgresTimestamp(rfc3339: state.firstTime), let last = PostgresTimestamp(rfc3339: state.lastTime) {
            let newest = Self.microseconds(from: last, to: now)
            let oldest = Self.microseconds(from: first, to: now)
            let age = newest + (oldest - newest) * (span > 1 ? (behind * span - 1) / (span - 1) : 1)
            shares.append(1 - age * 1000 / Double(config.maxAgeNanoseconds))
        }
        return min(1, max(0, shares.min() ?? 1))
    }

    private static func microseconds(from earlier: PostgresTimestamp, to later: PostgresTimestamp) -> Double {
        max(0, Double(later.rawValue) - Double(earlier.rawValue))
    }
}
