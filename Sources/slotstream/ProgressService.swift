import Logging
import Pipeline
import ServiceLifecycle

/// Logs a line a minute for as long as the streamer runs.
struct ProgressService: Service {
    let observations: Observations
    let logger: Logger

    func run() async throws {
        try? await cancelWhenGracefulShutdown {
            var progress = ProgressLog(observations)
            while true {
                try await Task.sleep(for: ProgressLog.interval)
                progress.report(to: logger)
            }
        }
    }
}
