package import Pipeline
import ServiceLifecycle
import Synchronization

/// Work on a thread of its own as a service: stopped in order when the group is.
package final class ThreadService: Service {
    private let start: @Sendable (_ completion: @escaping @Sendable (Streamer.Outcome) -> Void) -> Void
    private let stop: @Sendable () -> Void
    private let finished = Mutex<Streamer.Outcome?>(nil)

    /// - Parameters:
    ///   - start: Begins the work, which calls `completion` once, when it has ended.
    ///   - stop: Says that it is to end; may be called at any time, and often.
    package init(
        start: @escaping @Sendable (_ completion: @escaping @Sendable (Streamer.Outcome) -> Void) -> Void, stop: @escaping @Sendable () -> Void
    ) {
        self.start = start
        self.stop = stop
    }

    /// nil until it has run.
    package var outcome: Streamer.Outcome? { finished.withLock { $0 } }

    package func run() async throws {
        let stop = stop
        await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                let outcome = await withCheckedContinuation { (continuation: CheckedContinuation<Streamer.Outcome, Never>) in
                    start { continuation.resume(returning: $0) }
                }
                finished.withLock { $0 = outcome }
            } onGracefulShutdown: {
                stop()
            }
        } onCancel: {
            stop()
        }
    }
}
