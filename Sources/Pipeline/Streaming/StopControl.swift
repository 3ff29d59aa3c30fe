package import History
import Synchronization
package import Threads
import WAL

/// The wish to stop in order, from any thread, and what it wakes.
package final class StopControl: Sendable {
    /// Signalled by a request to stop.
    package let wake: WakeSignal
    private let requested = Atomic<Bool>(false)

    package init() throws(StreamerError) { wake = try StreamerError.ofSystem { () throws(SystemError) in try WakeSignal() } }

    package var isRequested: Bool { requested.load(ordering: .acquiring) }

    package func request() {
        requested.store(true, ordering: .releasing)
        wake.signal()
    }

    /// Waits for `duration`, or until asked to stop; `observations` see that the loop lives.
    func wait(_ duration: Duration, _ observations: Observations) {
        let end = Instant.now + duration
        while !isRequested, Instant.now < end {
            observations.turned(.source)
            wake.wait(timeout: min(end.duration(since: .now), .seconds(1)))
        }
    }
}
