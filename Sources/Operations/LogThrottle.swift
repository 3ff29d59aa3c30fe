import CoreMetrics
import Synchronization

/// Keeps one message from filling the log: a server that says the same thing without end, or fails us again and again.
///
/// Each message may come in a burst, and then once a second; what is left out is counted, and told with the next line of it.
package final class LogThrottle: Sendable {
    /// Lines of one message at once: more than an honest day brings.
    static let burst = 200
    /// Messages are texts of ours; should there be more after all, they share one allowance.
    static let messageLimit = 256

    private struct Allowance {
        var count = LogThrottle.burst
        var refilledAt: ContinuousClock.Instant
        var leftOutCount = 0
    }

    private let allowances = Mutex<[String: Allowance]>([:])

    private let leftOut: any CounterHandler

    /// - Parameter registry: Where lines that were left out are counted.
    package init(registry: PrometheusRegistry) {
        leftOut = registry.makeCounter(label: LogQueue.counterName, dimensions: [("cause", "flood")])
    }

    /// Whether a line of `message` may be written now.
    /// - Returns: How many lines of it were left out since the last; nil: this one is left out too.
    package func admits(_ message: String, at now: ContinuousClock.Instant = .now) -> Int? {
        let leftOutCount: Int? = allowances.withLock { allowances in
            let isKnown = allowances[message] != nil || allowances.count < Self.messageLimit
            let key = isKnown ? message : ""
            var allowance = allowances[key] ?? Allowance(refilledAt: now)
            defer { allowances[key] = allowance }
            let seconds = Int((now - allowance.refilledAt) / .seconds(1))
            if seconds > 0 {
                allowance.count = min(Self.burst, allowance.count + seconds)
                allowance.refilledAt = now
            }
            guard allowance.count > 0 else {
                allowance.leftOutCount += 1
                return nil
            }
            defer { allowance.leftOutCount = 0 }
            allowance.count -= 1
            return allowance.leftOutCount
        }
        if leftOutCount == nil { leftOut.increment(by: 1) }
        return leftOutCount
    }
}
