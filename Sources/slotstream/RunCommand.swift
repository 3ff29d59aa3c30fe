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
        let effective = try Program.reading(counting: registry) { try options.load() }
        let values = effective.values
        let logger = Program.begin(effective, counting: registry)
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
                    TerminationFile.write(outcome, logger)
                    logger.notice("waiting until somebody mends the cause", metadata: ["reason": "\(outcome.reason?.rawValue ?? "")"])
                },
            observations: observations,
            failpoints: try .fromEnvironment(logger), logger: logger)
        let service = ThreadService(start: streamer.start, stop: streamer.stop)

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
        try await Program.run(services, logger: logger, impatience: "ended at once. The next start sends again what is unconfirmed")

        guard let outcome = service.outcome, outcome.status != .done else { return }
        if onStop == .exit { TerminationFile.write(outcome, logger) }
        throw ExitCode(outcome.status.rawValue)
    }
}
