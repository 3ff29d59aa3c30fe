package import CoreMetrics
package import History
import JetStreamPublishing
package import Logging
import Observing
package import Pipeline
import Synchronization
package import Threads
import WAL

/// Does observers' actions until told to stop: connects, waits for its turn, works, and begins again whenever retrying can help.
///
/// `run()` blocks: give it a thread of its own.
package final class ObserverWorker: Sendable {
    let configuration: WorkerConfiguration
    let state: WorkerState
    let board = WorkBoard()
    let runner: JobRunner
    let control: StopControl
    let failpoints: Failpoints
    let logger: Logger
    let rotation = RotationPatience()
    private let database: FunctionCaller
    /// Random for each process: tells whose a lease is.
    let identity = String(UInt64.random(in: .min ... .max), radix: 36) + String(UInt64.random(in: .min ... .max), radix: 36)

    /// - Parameter failpoints: For the fault tests.
    /// - Throws: `.system`.
    package init(
        _ configuration: WorkerConfiguration, metrics: any MetricsFactory, failpoints: Failpoints = .none, logger: Logger
    ) throws(StreamerError) {
        self.configuration = configuration
        self.failpoints = failpoints
        self.logger = logger
        state = WorkerState(configuration, meters: WorkerMeters(metrics, configuration), logger: logger)
        runner = JobRunner(configuration, state, failpoints: failpoints, logger: logger)
        control = try StopControl()
        database = FunctionCaller(configuration.database)
    }

    /// From any thread: take no more, finish or hand back what is there, return.
    package func stop() { control.request() }

    /// What `/status` answers.
    package func status() -> ObserverStatus { state.status(openHosts: runner.openHosts, inFlight: board.count) }

    /// Called before each scrape.
    package func refreshMetrics() { state.meters.refresh(status(), inFlight: board.count) }

    /// Runs on a thread of its own; `completion` is called there with what `run()` returns.
    package func start(_ completion: @escaping @Sendable (Streamer.Outcome) -> Void) {
        do throws(SystemError) {
            try OwnedThread(name: "worker") { completion(self.run()) }.detach()
        } catch {
            completion(stopped(.unexpected, .system(error.message), ""))
        }
    }

    /// Works until stopped, or until something that retrying cannot mend.
    package func run() -> Streamer.Outcome {
        var backoff = Backoff()
        var telling = TroubleTelling()
        let observers = observersThread()
        defer {
            board.close()
            observers?.stop()
        }
        do throws(SystemError) { try startThreads() } catch { return stopped(.unexpected, .system(error.message), "") }
        while !control.isRequested {
            // An event that no observer is for is acknowledged: first it has to be known which there are.
            if let observers, !observers.hasRead {
                wait(.milliseconds(100))
                continue
            }
            let began = Instant.now
            do throws(StreamerError) {
                try runSession()
                backoff.reset()
                telling = TroubleTelling()
            } catch {
                state.turned("worker")
                if control.isRequested { break }
                var verdict = FailurePolicy.verdict(on: error)
                if case .stop(_, let remedy) = verdict, let rest = rotation.rest(of: error, at: .now) {
                    verdict = .retry(hint: "The secret worked before: the worker reads the file again and tries for \(Int(rest.seconds)) s. \(remedy)")
                }
                switch verdict {
                case .stop(let reason, let remedy): return stopped(reason, error, reason == .permissionNATS ? Self.rightsRemedy : remedy)
                case .standBy, .retry:
                    if Instant.now.duration(since: began) > .seconds(30) { backoff.reset() }
                    let delay = backoff.delay(atMost: FailurePolicy.retryLimit(after: error))
                    var fields: Logger.Metadata = ["error": "\(error)", "after_ms": .stringConvertible(delay.milliseconds)]
                    if case .retry(let hint) = verdict, error.peer == .nats { fields["hint"] = "\(hint)" }
                    logger.log(level: telling.isNews(error) ? .warning : .debug, "interrupted, trying again", metadata: fields)
                    state.change { status in
                        status.ordering = nil
                        status.lastError = ObserverStatus.LastError(
                            reason: "\(RetryReason.of(error))", at: PostgresTimestamp.now.description, message: "\(error)")
                    }
                    wait(delay)
                }
            }
        }
        state.ended("worker")
        state.change { $0.role = .stopped }
        return Streamer.Outcome(reason: nil, message: "stopped", status: .done)
    }

    private static let rightsRemedy = Steps.text([
        "Print the rights of the worker's NATS user: `slotstream-observer setup --print-nats-permissions`",
        "Paste these rights into nats-server's configuration, and load the configuration: `nats-server --signal reload`",
    ])

    /// Waits, unless it is asked to stop.
    func wait(_ duration: Duration) {
        let end = ContinuousClock.now + duration
        while !control.isRequested {
            state.turned("worker")
            let rest = end - .now
            guard rest > .zero else { return }
            control.wake.wait(timeout: min(rest, .seconds(1)))
        }
    }

    private func stopped(_ reason: StopReason, _ error: StreamerError, _ remedy: String) -> Streamer.Outcome {
        state.change { status in
            status.role = .stopped
            status.lastError = ObserverStatus.LastError(
                reason: reason.rawValue, at: PostgresTimestamp.now.description, message: "\(reason.rawValue): \(ShownText.line("\(error)"))")
            status.next = Steps.lines(of: remedy)
        }
        logger.critical(
            "stopped",
            metadata: [
                "reason": "\(reason.rawValue)", "error": "\(error)", "remedy": "\(remedy)", "stream": "\(configuration.stream)",
                "consumer": "\(configuration.consumer)",
            ])
        return Streamer.Outcome(reason: reason, message: "\(error)", remedy: remedy, status: reason.exitCode)
    }

    /// The threads that do the actions; they end when the board is closed.
    private func startThreads() throws(SystemError) {
        for number in 1...configuration.maxConcurrency {
            try OwnedThread(name: "action \(number)") { [self] in
                let doer = ActionDoer(configuration, database: database, nats: { [state] in state.connection }, logger: logger)
                let thread = ActionThread(doer, state)
                while let job = board.take() {
                    switch runner.work(on: job, on: thread) {
                    case .ended: board.end(job)
                    case .later(let instant): putOff(job, until: instant, isParked: false)
                    case .hostAway(let instant): putOff(job, until: instant, isParked: true)
                    }
                }
            }.detach()
        }
    }

    private func putOff(_ job: EventJob, until instant: ContinuousClock.Instant, isParked: Bool) {
        job.isParked = isParked
        guard !board.postpone(job, until: instant, in: state.session) else { return }
        // Where order matters, no delay: the later events of its entity go back too.
        if job.isOf(state.session) { handBack(job, after: configuration.isOrdered ? .zero : instant - .now) }
    }

    /// Tells the server to deliver it again, as far as it hears.
    func handBack(_ job: EventJob, after delay: Duration = .zero) {
        try? state.connection?.tell(.again(after: max(.zero, delay)), to: job.reply)
    }

    private func observersThread() -> DatabaseObservers? {
        guard configuration.readsDatabase else { return nil }
        return DatabaseObservers(configuration, state, logger: logger)
    }
}
