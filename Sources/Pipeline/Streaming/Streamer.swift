package import History
import JetStreamPublishing
package import Logging
import Metrics
import PostgresReplication
import Synchronization
package import Threads
import WAL

/// Streams a slot to its stream until told to stop: connects, recovers, streams, and begins again whenever retrying can help.
///
/// `run()` blocks: give it a thread of its own.
package final class Streamer: Sendable {
    /// How a run ended.
    package struct Outcome: Sendable, Equatable {
        /// nil: stopped in order.
        package var reason: StopReason?
        package var message: String
        /// What to do about it; empty: nothing.
        package var remedy = ""
        package var status: ExitStatus

        package init(reason: StopReason?, message: String, remedy: String = "", status: ExitStatus) {
            self.reason = reason
            self.message = message
            self.remedy = remedy
            self.status = status
        }
    }

    /// While another streamer holds the slot it is looked at this often.
    static let standbyInterval = Duration.milliseconds(500)

    /// For connecting to PostgreSQL, and for each command before streaming: below the liveness limit.
    static let connectTimeout = Duration.seconds(10)

    /// What comes after a stop that only a person can mend.
    package enum OnStop: Sendable {
        case exit
        /// It stays, and looks again now and then whether somebody has mended the cause. It is handed each new stop.
        case wait(@Sendable (Outcome) -> Void)
    }

    let configuration: StreamerConfiguration
    let isSetupAllowed: Bool
    private let onStop: OnStop
    let observations: Observations
    let failpoints: Failpoints
    let logger: Logger
    let control: StopControl
    /// nil: it streams.
    let mending: Mending?
    /// Once all that commits before it was read, it stops as if it were asked to; nil: it does not stop by itself.
    let goal: LSN?
    /// Random for each process: tells whose a checkpoint record is.
    let owner: String
    let obstacles = ObstacleMemory()
    let rotation = RotationPatience()
    /// The servers to which the connection was said to be open to others.
    let exposedServers = Mutex<Set<String>>([])

    /// - Parameters:
    ///   - isSetupAllowed: Whether a first start may create publication, stream, bucket, slot and consumer.
    ///   - failpoints: For the fault tests.
    /// - Throws: `.system`.
    package init(
        _ configuration: StreamerConfiguration, isSetupAllowed: Bool, onStop: OnStop = .exit, observations: Observations,
        failpoints: Failpoints = .none, logger: Logger
    ) throws(StreamerError) {
        self.configuration = configuration
        self.isSetupAllowed = isSetupAllowed
        self.onStop = onStop
        self.observations = observations
        self.failpoints = failpoints
        self.logger = logger
        mending = nil
        goal = nil
        control = try StopControl()
        owner = Self.makeOwner()
    }

    /// For a command, which tells nobody how it goes.
    /// - Parameters:
    ///   - mending: It streams nothing: its sessions compare, and store what is missing.
    ///   - goal: Its sessions stop behind it.
    init(
        _ configuration: StreamerConfiguration, mending: Mending? = nil, until goal: LSN? = nil, failpoints: Failpoints,
        logger: Logger
    ) throws(StreamerError) {
        self.configuration = configuration
        self.mending = mending
        self.goal = goal
        self.logger = logger
        isSetupAllowed = false
        onStop = .exit
        observations = Observations(
            slot: configuration.source.slot, stream: configuration.stream.name, readyMaxLagBytes: 0,
            metrics: NOOPMetricsHandler.instance)
        self.failpoints = failpoints
        control = try StopControl()
        owner = Self.makeOwner()
    }

    private static func makeOwner() -> String {
        String(UInt64.random(in: .min ... .max), radix: 36) + String(UInt64.random(in: .min ... .max), radix: 36)
    }

    /// Waits, as a command does between two attempts.
    func pause(_ duration: Duration) { control.wait(duration, observations) }

    /// From any thread: stop reading, wait for the acks, confirm, return.
    package func stop() { control.request() }

    /// Runs on a thread of its own; `completion` is called there with what `run()` returns.
    package func start(_ completion: @escaping @Sendable (Outcome) -> Void) {
        do throws(StreamerError) {
            try StreamerError.ofSystem { () throws(SystemError) in
                try OwnedThread(name: "replication") { completion(self.run()) }
            }.detach()
        } catch {
            completion(stopped(.unexpected, error, ""))
        }
    }

    /// Streams until stopped, or until something that retrying cannot mend.
    package func run() -> Outcome {
        var backoff = Backoff()
        // What it waits behind.
        var stop: Outcome?
        var isStandingBy = false
        var telling = TroubleTelling()
        var former = FormerHolder()
        let watch = slotWatch()
        let tables = tableDescriber()
        let keeper = windowKeeper()
        defer { keeper?.stop() }
        while !control.isRequested {
            let began = Instant.now
            do throws(StreamerError) {
                let end = try runSession(watch, tables, &former)
                stop = nil
                if end == .stopped { break }
                observations.repaired()
            } catch {
                let verdict = patientVerdict(on: error)
                let isOwnHolder = former.stillHolds(by: error, at: .now)
                if observations.disconnected(by: error, isStandingBy: verdict == .standBy && !isOwnHolder) {
                    telling = TroubleTelling()
                    stop = nil
                }
                if control.isRequested {
                    if case .cancelled = error { break }
                    logger.warning("ended while stopping", metadata: ["error": "\(error)"])
                    break
                }
                switch verdict {
                case .stop(let reason, let remedy):
                    let outcome = stopped(reason, error, remedy, before: stop)
                    guard case .wait(let tell) = onStop else { return outcome }
                    if outcome != stop { tell(outcome) }
                    stop = outcome
                    waitForMending(watch)
                case .standBy:
                    if !isStandingBy {
                        logger.notice(
                            standbyMessage(error, former), metadata: ["slot": "\(configuration.source.slot)", "detail": "\(error)"])
                    }
                    isStandingBy = true
                    telling = TroubleTelling()
                    if isOwnHolder, let pid = former.takeTelling() {
                        logger.warning(
                            "an old connection of this streamer still holds the slot",
                            metadata: [
                                "slot": "\(configuration.source.slot)", "pid": .stringConvertible(pid),
                                "remedy": "see what it waits for (pg_stat_activity); SELECT pg_terminate_backend(\(pid)) ends it unless it is frozen",
                            ])
                    }
                    control.wait(Self.standbyInterval, observations)
                    continue
                case .retry(let hint):
                    observations.failed(RetryReason.of(error), "\(error)")
                    if Instant.now.duration(since: began) > .seconds(30) { backoff.reset() }
                    let delay = backoff.delay(atMost: FailurePolicy.retryLimit(after: error))
                    logger.log(
                        level: telling.isNews(error) ? .warning : .debug, "interrupted, trying again",
                        metadata: [
                            "error": "\(error)", "hint": "\(hint)", "slot": "\(configuration.source.slot)",
                            "after_ms": .stringConvertible(delay.milliseconds), "reason": "\(RetryReason.of(error))",
                        ])
                    control.wait(delay, observations)
                    observations.reconnecting(to: error.peer)
                }
            }
            isStandingBy = false
        }
        observations.texts.withLock { $0.role = .stopped }
        return stop ?? Outcome(reason: nil, message: "stopped", status: .done)
    }

    /// Between two looks whether somebody has mended what it stopped for; the slot, which holds WAL meanwhile, is looked at more often.
    private func waitForMending(_ watch: SlotWatch) {
        let end = Instant.now + LongTime.mending.duration
        while !control.isRequested, Instant.now < end {
            do throws(StreamerError) { _ = try watch.look() } catch { observations.lostSight() }
            control.wait(min(SlotLook.interval, end.duration(since: .now)), observations)
        }
    }

    private func standbyMessage(_ error: StreamerError, _ former: FormerHolder) -> Logger.Message {
        if case .serverInRecovery = error { return "standing by: the server is in recovery" }
        return former.isNamed(by: error)
            ? "waiting: this streamer's own former connection still holds the slot"
            : "standing by: another streamer holds the slot"
    }

    /// - Parameter before: The stop behind which it has waited; the same again is no news.
    private func stopped(_ reason: StopReason, _ error: StreamerError, _ remedy: String, before: Outcome? = nil) -> Outcome {
        let outcome = Outcome(reason: reason, message: "\(error)", remedy: remedy, status: reason.exitCode)
        observations.failed(reason.rawValue, "\(error)")
        observations.texts.withLock { texts in
            texts.role = .stopped
            texts.stop = "\(reason.rawValue): \(ShownText.line("\(error)"))"
        }
        var fields: Logger.Metadata = [
            "reason": "\(reason.rawValue)", "error": "\(error)", "remedy": "\(remedy)",
            "slot": "\(configuration.source.slot)", "stream": "\(configuration.stream.name)",
        ]
        if let ids = error.findingIDs { fields["finding"] = "\(ids)" }
        guard outcome != before else {
            logger.debug("stopped as before", metadata: fields)
            return outcome
        }
        logger.critical("stopped", metadata: fields)
        if mending == nil { keepLastStop(reason, error, remedy) }
        return outcome
    }

    /// For `run()` and for `mend`: looks at the slot before a session.
    func slotWatch() -> SlotWatch {
        SlotWatch(configuration.source, observations: observations, onNotice: Self.noticeHandler(logger))
    }

    /// For `run()` and for `mend`: asks about tables, throughout all sessions.
    func tableDescriber() -> TableDescriber {
        TableDescriber(configuration.casts, wake: control.wake, logger: logger)
    }

    /// The policy's verdict; but for a while what was taken before and is refused now is tried again.
    private func patientVerdict(on error: StreamerError) -> Verdict {
        let verdict = FailurePolicy.verdict(on: error)
        guard case .stop(_, let remedy) = verdict, let rest = rotation.rest(of: error, at: .now) else { return verdict }
        return .retry(hint: "The secret worked before: the streamer reads the file again and tries for \(Int(rest.seconds)) s. \(remedy)")
    }
}
