import Logging
import Pipeline
import ServiceLifecycle

/// Takes the samples of the last hour and logs a line a minute, for as long as the streamer runs.
struct ProgressService: Service {
    let observations: Observations
    let logger: Logger

    func run() async throws {
        try? await cancelWhenGracefulShutdown {
            var progress = ProgressLog(observations)
            observations.sample()
            while true {
                for _ in 0..<Observations.sampleCountPerLine {
                    try await Task.sleep(for: Observations.sampleInterval)
                    observations.sample()
                }
                progress.report(to: logger)
            }
        }
    }
}
