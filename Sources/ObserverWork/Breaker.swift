import Observing
import Synchronization

/// The circuit breaker of all threads, which takes its lock only while a host is in trouble.
final class Breaker: Sendable {
    private let state = Mutex(CircuitBreaker())
    /// Hosts that are in trouble: while there is none, nobody waits for anybody here.
    private let troubledCount = Atomic<Int>(0)

    /// The hosts that nothing goes to for a while.
    var openHosts: [String] { state.withLock { $0.openHosts } }

    /// - Parameter asker: The event's sequence.
    func mayTry(_ host: String, by asker: UInt64) -> CircuitBreaker.Answer {
        guard troubledCount.load(ordering: .acquiring) > 0 else { return .yes }
        return state.withLock { $0.mayTry(host, by: asker, now: .now) }
    }

    /// Whether only one request goes there, to try.
    func isOpen(_ host: String) -> Bool {
        guard troubledCount.load(ordering: .acquiring) > 0 else { return false }
        return state.withLock { $0.isOpen(host) }
    }

    func succeeded(_ host: String) {
        guard troubledCount.load(ordering: .acquiring) > 0 else { return }
        change { $0.succeeded(host) }
    }

    func failed(_ host: String, by asker: UInt64, isAnswered: Bool) {
        change { $0.failed(host, by: asker, isAnswered: isAnswered, now: .now) }
    }

    private func change(_ body: (inout CircuitBreaker) -> Void) {
        state.withLock { state in
            body(&state)
            troubledCount.store(state.troubledCount, ordering: .releasing)
        }
    }
}
