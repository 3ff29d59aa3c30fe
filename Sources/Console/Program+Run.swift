package import Logging
package import Operations
import Pipeline
package import ServiceLifecycle
package import Settings

/// What the commands share that run until they are told to stop.
extension Program {
    /// Reads the configuration. Where it is wrong, programs that read the log are told as they are told all else; people get a line for each problem.
    package static func reading<Value>(counting registry: PrometheusRegistry, _ read: () throws -> Value) throws -> Value {
        do {
            return try read()
        } catch let error as SettingsError {
            TerminationFile.goes(to: error.log.terminationFile)
            if error.log.format == .json { Failure.goes(to: StderrLogHandler.makeLogger(error.log, counting: registry)) }
            throw error
        }
    }

    /// From here on all is told in the log.
    /// - Returns: What writes it.
    package static func begin(_ effective: EffectiveConfiguration, counting registry: PrometheusRegistry) -> Logger {
        let log = effective.values.log
        let logger = StderrLogHandler.makeLogger(log, counting: registry)
        Failure.goes(to: logger)
        TerminationFile.goes(to: log.terminationFile)
        logger.notice(
            "starting", metadata: ["version": "\(Slotstream.fullVersion)", "configuration": "\(effective.file ?? "defaults")"])
        return logger
    }

    /// Runs the services until one ends the group, or a signal does; they are stopped in the reverse of their order.
    /// - Parameter impatience: What a second signal means for the next start, as a sentence behind "told to stop again: ".
    package static func run(
        _ services: [ServiceGroupConfiguration.ServiceConfiguration], logger: Logger, impatience: String
    ) async throws {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: services, logger: quiet))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await ProcessSignals.stop(group, logger, impatience: impatience) }
            defer { tasks.cancelAll() }
            try await group.run()
        }
    }
}
