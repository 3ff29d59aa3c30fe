import ArgumentParser
import Console
import History
import Logging
import ObserverWork
import Operations
import Pipeline
import ServiceLifecycle
import Settings
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
        let registry = PrometheusRegistry.observerWorker()
        let (effective, (configuration, notes)) = try Program.reading(counting: registry) {
            let effective = try options.loadWithObservers()
            return (effective, try WorkerConfiguration.read(effective, environment: ConfigurationOptions.environment))
        }
        let logger = Program.begin(effective, counting: registry)
        for note in notes { logger.notice("\(note)") }
        try LongTime.tell(logger)
        let worker = try ObserverWorker(configuration, metrics: registry, failpoints: try .fromEnvironment(logger), logger: logger)
        let service = ThreadService(start: worker.start, stop: worker.stop)
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = []
        if let listen = effective.values.observerWorker.listen {
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
        try await Program.run(services, logger: logger, impatience: "ended at once. Events under way come again after ack_wait")
        guard let outcome = service.outcome, outcome.status != .done else { return }
        TerminationFile.write(outcome, logger)
        throw ExitCode(outcome.status.rawValue)
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
