import ArgumentParser
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
            The first start also sets up slot and stream, as `slotstream setup` does. SIGTERM, SIGINT and other signals that end a \
            process stop the streamer in order: the streamer stops reading, waits for acks for at most 75 s, confirms and exits 0. The \
            next start sends all unconfirmed changes again. Without a terminal, SIGHUP does nothing: restart the streamer to apply a \
            changed configuration.

            Example:
              slotstream run --config slotstream.toml
            """)

    @OptionGroup var options: ConfigurationOptions

    @Flag(name: .customLong("no-setup"), help: "Refuse a first start instead of setting up.")
    var isSetupRefused = false

    func run() async throws {
        let registry = PrometheusRegistry.slotstream()
        let effective = try load(registry)
        let values = effective.values
        let logger = StderrLogHandler.makeLogger(values.log, counting: registry)
        Failure.goes(to: logger)
        logger.notice(
            "starting", metadata: ["version": "\(Slotstream.version)", "configuration": "\(effective.file ?? "defaults")"])
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
            streamerConfiguration, isSetupAllowed: !isSetupRefused, observations: observations,
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
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: services, logger: quiet))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await heedSignals(group, logger) }
            defer { tasks.cancelAll() }
            try await group.run()
        }

        guard let outcome = service.outcome, outcome.status != .done else { return }
        throw ExitCode(outcome.status.rawValue)
    }

    /// Reads the configuration. Where it is wrong, programs that read the log are told as they are told all else; people get a line for each problem.
    private func load(_ registry: PrometheusRegistry) throws -> EffectiveConfiguration {
        do {
            return try options.load()
        } catch let error as SettingsError {
            if error.log.format == .json { Failure.goes(to: StderrLogHandler.makeLogger(error.log, counting: registry)) }
            throw error
        }
    }

    /// Stops in order, or says that a signal does nothing.
    private func heedSignals(_ group: ServiceGroup, _ logger: Logger) async {
        let hasTerminal = ProcessSignals.hasTerminal()
        for await number in ProcessSignals.arrivals {
            let signal: Logger.Metadata = ["signal": "\(ProcessSignals.name(number))"]
            if ProcessSignals.isStop(number, hasTerminal: hasTerminal) {
                logger.notice("told to stop", metadata: signal)
                await group.triggerGracefulShutdown()
            } else {
                logger.notice("this signal does nothing: restart the streamer to apply a changed configuration", metadata: signal)
            }
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
