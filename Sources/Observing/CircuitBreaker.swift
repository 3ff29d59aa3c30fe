/// Keeps requests from hosts that only fail: after some failures in a row nothing goes there for a while, then one request tries.
///
/// A value without a clock of its own. Whoever asks `mayTry` and is told yes says how it went, `succeeded` or `failed`; else the one that tries would never be
/// followed by another.
package struct CircuitBreaker: Sendable {
    /// Whether a request may go now.
    package enum Answer: Sendable, Equatable {
        /// It may.
        case yes
        /// Ask again then.
        case waitUntil(ContinuousClock.Instant)
    }

    /// Failures in a row that open it.
    package static let failureLimit = 5
    /// How long it is open at first; doubled each time that the one request fails.
    package static let firstPause = Duration.seconds(1)
    /// The longest that it is open at once.
    package static let pauseLimit = Duration.seconds(60)
    /// Hosts that are remembered; what was idle longest is forgotten first.
    package static let hostLimit = 1_000

    private struct Host: Sendable {
        var failureCount = 0
        var pause = firstPause
        /// nil: closed.
        var openUntil: ContinuousClock.Instant?
        var isTried = false
        /// Who failed last: one event that fails for a reason of its own is one failure, however often it is tried.
        var lastFailed: UInt64?
        /// Whether somebody else has asked since: whoever failed as the one that tries goes behind the others.
        var othersWait = false
        var lastUsed: ContinuousClock.Instant
    }

    private var hosts: [String: Host] = [:]

    /// All hosts are reachable as far as is known.
    package init() {}

    /// Asks for one request. Where the answer is yes and the breaker was open, it is the one that tries.
    ///
    /// - Parameter asker: Who asks: the sequence of the event, say.
    package mutating func mayTry(_ host: String, by asker: UInt64 = 0, now: ContinuousClock.Instant) -> Answer {
        guard var state = hosts[host], let openUntil = state.openUntil else { return .yes }
        if asker != state.lastFailed, !state.othersWait {
            state.othersWait = true
            hosts[host] = state
        }
        guard now >= openUntil else { return .waitUntil(openUntil) }
        if asker == state.lastFailed, state.othersWait { return .waitUntil(now + Self.firstPause) }
        // The one that tries should be back by then; if it is not, its worker has forgotten it.
        guard !state.isTried || now >= openUntil + Self.pauseLimit else { return .waitUntil(now + Self.firstPause) }
        state.isTried = true
        state.openUntil = now
        state.lastUsed = now
        hosts[host] = state
        return .yes
    }

    /// A request was answered: nothing is wrong with the host.
    package mutating func succeeded(_ host: String) { hosts[host] = nil }

    /// A request failed for a reason that is the host's.
    /// - Parameters:
    ///   - asker: Who had asked; nil: nobody that can be told from others.
    ///   - isAnswered: Whether the host has answered: then it may be for a reason of the asker's, who counts once.
    package mutating func failed(_ host: String, by asker: UInt64? = nil, isAnswered: Bool = false, now: ContinuousClock.Instant) {
        var state = hosts[host] ?? Host(lastUsed: now)
        state.lastUsed = now
        if !isAnswered || asker == nil || asker != state.lastFailed { state.failureCount = min(state.failureCount + 1, Self.failureLimit) }
        state.lastFailed = asker
        state.othersWait = false
        if state.openUntil == nil, state.failureCount >= Self.failureLimit {
            state.openUntil = now + state.pause
        } else if state.isTried {
            state.pause = min(state.pause * 2, Self.pauseLimit)
            state.openUntil = now + state.pause
        }
        state.isTried = false
        hosts[host] = state
        if hosts.count > Self.hostLimit { forgetOne() }
    }

    /// The hosts that nothing goes to, or one request only, in alphabetical order.
    package var openHosts: [String] { hosts.filter { $0.value.openUntil != nil }.map(\.key).sorted() }

    /// Whether nothing goes there, or one request only.
    package func isOpen(_ host: String) -> Bool { hosts[host]?.openUntil != nil }

    /// Hosts whose last request failed.
    package var troubledCount: Int { hosts.count }

    private mutating func forgetOne() {
        guard let idle = hosts.min(by: { $0.value.lastUsed < $1.value.lastUsed }) else { return }
        hosts[idle.key] = nil
    }
}
