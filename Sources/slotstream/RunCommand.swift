import ArgumentParser
import Console
import Glibc
import History
import JetStreamPublishing
import Logging
import Operations
import Pipeline
import ServiceLifecycle
import Settings
import Synchronization
import Threads

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Stream until told to stop.",
        usage: "slotstream run [<options>]",
        discussion: """
            The first start also sets up slot and stream, as `slotstream setup` does. SIGTERM, SIGHUP, SIGINT and other signals \
            that end a process stop the streamer in order: the streamer stops reading, waits for acks for at most \
            delivery.shutdown_timeout, confirms and exits 0. The next start sends all unconfirmed changes again. A second SIGTERM or \
            SIGINT ends the streamer at once. Restart the streamer to apply a changed configuration.

            Example:
              slotstream run --config slotstream.toml
              slotstream run --on-stop wait
            """)

    @OptionGroup var options: ConfigurationOptions

    @Flag(name: .customLong("no-setup"), help: "Refuse a first start instead of setting up.")
    var isSetupRefused = false

    /// What the process does once the streamer has stopped for a reason that only a person can mend.
    enum OnStop: String, ExpressibleByArgument, CaseIterable {
        case exit, wait
    }

    @Option(
        name: .customLong("on-stop"),
        help: ArgumentHelp(
            "After a stop that only a person can mend: exit, or wait. A process that waits is live and not ready, says why on /readyz, and looks every minute whether the cause is mended.",
            valueName: "exit|wait"))
    var onStop = OnStop.exit

    func run() async throws {
        let registry = PrometheusRegistry.slotstream()
        let effective = try load(registry)
        let values = effective.values
        let logger = StderrLogHandler.makeLogger(values.log, counting: registry)
        Failure.goes(to: logger)
        TerminationFile.goes(to: values.log.terminationFile)
        logger.notice(
            "starting", metadata: ["version": "\(Slotstream.fullVersion)", "configuration": "\(effective.file ?? "defaults")"])
        if !effective.ignoredKeys.isEmpty {
            logger.notice(
                "these keys are FraiseQL's, and are not used", metadata: ["keys": "\(effective.ignoredKeys.joined(separator: " "))"])
        }
        for secret in effective.openSecrets {
            let finding = Finding.secretOpenToOthers(file: secret.file, key: secret.key)
            logger.warning(
                "\(finding.message)",
                metadata: finding.fields.merging(["file": "\(secret.file)", "key": "\(secret.key)"]) { first, _ in first })
        }
        let streamerConfiguration = values.streamer
        let observations = Observations(
            slot: streamerConfiguration.source.slot, stream: streamerConfiguration.stream.name,
            readyMaxLagBytes: streamerConfiguration.readyMaxLagBytes, metrics: registry)
        try LongTime.tell(logger)
        let streamer = try Streamer(
            streamerConfiguration, isSetupAllowed: !isSetupRefused,
            onStop: onStop == .exit
                ? .exit
                : .wait { outcome in
                    Self.leaveWord(of: outcome, logger)
                    logger.notice("waiting until somebody mends the cause", metadata: ["reason": "\(outcome.reason?.rawValue ?? "")"])
                },
            observations: observations,
            failpoints: try .fromEnvironment(logger), logger: logger)
        let service = StreamerService(streamer)

        var services: [ServiceGroupConfiguration.ServiceConfiguration] = []
        if let listen = ConfigurationOptions.endpoint(of: values) {
            let server = OperationsServer(
                listen: listen, status: { observations.status() }, recent: { observations.recentActivity() },
                refreshMetrics: { observations.refreshMetrics() },
                registry: registry, logger: logger)
            services.append(.init(service: server))
        }
        // Stopped in the reverse of this order: HTTP answers as long as the streamer drains.
        services.append(
            .init(service: service, successTerminationBehavior: .gracefullyShutdownGroup))
        services.append(
            .init(service: ProgressService(observations: observations, logger: logger), successTerminationBehavior: .ignore))
        if let manager = ServiceManager(environment: ConfigurationOptions.environment) {
            services.append(
                .init(service: ManagedService(manager: manager, observations: observations), successTerminationBehavior: .ignore))
        }
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: services, logger: quiet))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                await ProcessSignals.stop(group, logger, impatience: "ended at once. The next start sends again what is unconfirmed")
            }
            defer { tasks.cancelAll() }
            try await group.run()
        }

        guard let outcome = service.outcome, outcome.status != .done else { return }
        if onStop == .exit { Self.leaveWord(of: outcome, logger) }
        throw ExitCode(outcome.status.rawValue)
    }

    /// Writes the file for supervisors.
    private static func leaveWord(of outcome: Streamer.Outcome, _ logger: Logger) {
        guard let reason = outcome.reason, let fault = TerminationFile.write(reason, outcome.message, remedy: outcome.remedy) else { return }
        logger.warning("log.termination_file cannot be written", metadata: ["error": "\(fault)"])
    }

    /// Reads the configuration. Where it is wrong, programs that read the log are told as they are told all else; people get a line for each problem.
    private func load(_ registry: PrometheusRegistry) throws -> EffectiveConfiguration {
        do {
            return try options.load()
        } catch let error as SettingsError {
            TerminationFile.goes(to: error.log.terminationFile)
            if error.log.format == .json { Failure.goes(to: StderrLogHandler.makeLogger(error.log, counting: registry)) }
            throw error
        }
    }
}

/// The streamer as a service: a thread of its own, stopped in order when the group is.
private final class StreamerService: Service {
    private let streamer: Streamer
    private let finished = Mutex<Streamer.Outcome?>(nil)

    init(_ streamer: Streamer) { self.streamer = streamer }

    /// nil until it has run.
    var outcome: Streamer.Outcome? { finished.withLock { $0 } }

    func run() async throws {
        let streamer = streamer
        await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                let outcome = await withCheckedContinuation { (continuation: CheckedContinuation<Streamer.Outcome, Never>) in
                    streamer.start { continuation.resume(returning: $0) }
                }
                finished.withLock { $0 = outcome }
            } onGracefulShutdown: {
                streamer.stop()
            }
        } onCancel: {
            streamer.stop()
        }
    }
}
