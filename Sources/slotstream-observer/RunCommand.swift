import ArgumentParser
import Console
import History
import Logging
import ObserverWork
import Operations
import Pipeline
import ServiceLifecycle
import Settings
import Synchronization
import Threads

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Do the observers' actions until told to stop.",
        usage: "slotstream-observer run [<options>]",
        discussion: """
            The first start also makes what is missing, as `slotstream-observer setup` does. SIGTERM, SIGHUP and SIGINT stop the worker in \
            order: the worker takes no more events, ends what is under way for at most observer_worker.shutdown_timeout, hands back the \
            rest and exits 0. A second SIGTERM or SIGINT ends the worker at once: events under way come again after ack_wait. Restart the \
            worker to apply a changed file.

            Example:
              slotstream-observer run --config slotstream.toml
            """)

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let effective: EffectiveConfiguration
        let configuration: WorkerConfiguration
        let notes: [String]
        let registry = PrometheusRegistry.observerWorker()
        do {
            effective = try options.loadWithObservers()
            (configuration, notes) = try WorkerConfiguration.read(effective, environment: ConfigurationOptions.environment)
        } catch let error as SettingsError {
            TerminationFile.goes(to: error.log.terminationFile)
            if error.log.format == .json { Failure.goes(to: StderrLogHandler.makeLogger(error.log, counting: registry)) }
            throw error
        }
        let values = effective.values
        let logger = StderrLogHandler.makeLogger(values.log, counting: registry)
        Failure.goes(to: logger)
        TerminationFile.goes(to: values.log.terminationFile)
        logger.notice(
            "starting", metadata: ["version": "\(Slotstream.fullVersion)", "configuration": "\(effective.file ?? "defaults")"])
        for note in notes { logger.notice("\(note)") }
        try LongTime.tell(logger)
        let worker = try ObserverWorker(configuration, metrics: registry, failpoints: try .fromEnvironment(logger), logger: logger)
        let service = WorkerService(worker)
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = []
        if let listen = values.observerWorker.listen {
            services.append(
                .init(
                    service: OperationsServer(
                        listen: (listen.host, listen.port), status: { worker.status() }, recent: nil,
                        refreshMetrics: { worker.refreshMetrics() }, registry: registry, logger: logger)))
        }
        // Stopped in the reverse of this order: HTTP answers as long as the worker ends what is under way.
        services.append(.init(service: service, successTerminationBehavior: .gracefullyShutdownGroup))
        if let manager = ServiceManager(environment: ConfigurationOptions.environment) {
            services.append(.init(service: ManagedService(manager: manager, worker: worker), successTerminationBehavior: .ignore))
        }
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: services, logger: quiet))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                await ProcessSignals.stop(group, logger, impatience: "ended at once. Events under way come again after ack_wait")
            }
            defer { tasks.cancelAll() }
            try await group.run()
        }
        guard let outcome = service.outcome, outcome.status != .done else { return }
        if let reason = outcome.reason, let fault = TerminationFile.write(reason, outcome.message, remedy: outcome.remedy) {
            logger.warning("log.termination_file cannot be written", metadata: ["error": "\(fault)"])
        }
        throw ExitCode(outcome.status.rawValue)
    }
}

/// The worker as a service: a thread of its own, stopped in order when the group is.
private final class WorkerService: Service {
    private let worker: ObserverWorker
    private let finished = Mutex<Streamer.Outcome?>(nil)

    init(_ worker: ObserverWorker) { self.worker = worker }

    /// nil until it has run.
    var outcome: Streamer.Outcome? { finished.withLock { $0 } }

    func run() async throws {
        let worker = worker
        await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                let outcome = await withCheckedContinuation { (continuation: CheckedContinuation<Streamer.Outcome, Never>) in
                    worker.start { continuation.resume(returning: $0) }
                }
                finished.withLock { $0 = outcome }
            } onGracefulShutdown: {
                worker.stop()
            }
        } onCancel: {
            worker.stop()
        }
    }
}

extension ManagedService {
    /// Of that worker.
    init(manager: ServiceManager, worker: ObserverWorker) {
        self.init(manager: manager, farewell: "ending what is under way") {
            let status = worker.status()
            let line: String
            switch status.role {
            case .standby: line = "standing by"
            case .stopped: line = status.reasons.joined(separator: ". ")
            case .active where status.reasons.isEmpty:
                line = "working" + (status.consumer.pending.map { ", \($0) events pending" } ?? "")
            case .active: line = "waiting: " + status.reasons.joined(separator: ". ")
            }
            return State(isReady: status.ready, isLive: status.live, line: line, kind: "\(status.role) \(status.reasons)")
        }
    }
}
