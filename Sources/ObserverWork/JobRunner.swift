import CoreMetrics
import Glibc
import History
import JetStreamPublishing
import Logging
import Observing
import Synchronization
import Threads
import WAL

/// Works on one event, a step at a time: observers one after another, their actions in order, each action with its own attempts; then its acknowledgement.
///
/// One for all threads; each brings its own ``ActionThread``.
final class JobRunner: Sendable {
    /// What becomes of a job after a step.
    enum Next {
        /// The server knows that it is done.
        case ended
        /// It goes on at that time.
        case later(ContinuousClock.Instant)
        /// It goes on at that time, when its host may be asked again.
        case hostAway(ContinuousClock.Instant)
    }

    /// Between two attempts to tell the server something.
    private static let tellInterval = Duration.milliseconds(500)
    /// How long an answer of the server's is waited for.
    private static let tellTimeout = Duration.seconds(5)
    /// Between looks at whether this worker may work.
    private static let permitInterval = Duration.milliseconds(100)
    /// Conditions that could not be answered are told once each.
    private static let toldLimit = 1_000

    private let configuration: WorkerConfiguration
    private let worker: WorkerState
    private let failpoints: Failpoints
    private let logger: Logger
    private let breaker = Breaker()
    private let told = Mutex<Set<String>>([])

    init(_ configuration: WorkerConfiguration, _ worker: WorkerState, failpoints: Failpoints, logger: Logger) {
        self.configuration = configuration
        self.worker = worker
        self.failpoints = failpoints
        self.logger = logger
    }

    /// The hosts that nothing goes to for a while.
    var openHosts: [String] { breaker.openHosts }

    /// As many steps as can be done without waiting.
    func work(on job: EventJob, on thread: ActionThread) -> Next {
        guard mayGoOn(with: job) else { return .later(.now + Self.permitInterval) }
        if job.observers == nil { begin(job, thread) }
        while true {
            switch job.due {
            case .acknowledgement: return acknowledge(job, thread)
            case .deadLetter(let letter):
                guard store(letter, thread) else { return .later(.now + Self.tellInterval) }
                job.passObserver()
            case .action:
                guard let event = job.event, let observer = job.observer else {
                    job.due = .acknowledgement
                    continue
                }
                guard job.isMatched || matches(observer, event) else {
                    job.passObserver()
                    continue
                }
                job.isMatched = true
                guard job.actionIndex < observer.actions.count else {
                    job.passObserver()
                    continue
                }
                if let next = attempt(observer.actions[job.actionIndex], of: observer, event, job, thread) { return next }
            }
        }
    }

    /// Asked before each attempt: another worker may have taken over since the last.
    private func mayGoOn(with job: EventJob) -> Bool { worker.mayWork && job.isOf(worker.session) }

    private func begin(_ job: EventJob, _ thread: ActionThread) {
        job.observers = []
        if job.deliveryCount > 1 { thread.meters(WorkerMeters.none, WorkerMeters.none).retried.increment() }
        guard let event = job.event else {
            // A marker of Slotstream's own is nobody's event.
            if !worker.isMarker(job.message.subject) {
                let letter = letter(job, nil, reason: .unreadable, error: "the message is no event: no JSON object with entity_type and operation")
                thread.meters(WorkerMeters.none, WorkerMeters.none).failed.increment()
                logger.error("a message is no event, and becomes a dead letter", metadata: fields(job, nil))
                job.due = .deadLetter(letter)
            }
            return
        }
        guard !worker.isMarker(job.message.subject) else { return }
        job.observers = thread.read().observers.filter { $0.isFor(event) }
    }

    private func matches(_ observer: ObserverDefinition, _ event: ObservedEvent) -> Bool {
        guard let condition = observer.condition else { return true }
        do throws(ConditionError) {
            return try condition.evaluate(event)
        } catch {
            worker.meters.skipped(observer.name)
            let isNews = told.withLock { told in told.count < Self.toldLimit && told.insert("\(observer.name)\u{0}\(error)").inserted }
            if isNews {
                logger.warning(
                    "a condition cannot be answered: the observer is skipped for such events",
                    metadata: ["observer": "\(observer.name)", "error": "\(error)", "entity_type": "\(event.entityType)", "event_id": "\(event.id)"])
            }
            return false
        }
    }

    /// One attempt of one action.
    /// - Returns: When to go on; nil: at once.
    private func attempt(
        _ action: ObserverAction, of observer: ObserverDefinition, _ event: ObservedEvent, _ job: EventJob, _ thread: ActionThread
    ) -> Next? {
        guard mayGoOn(with: job) else { return .later(.now + Self.permitInterval) }
        let host = ActionDoer.host(of: action, configuration)
        var isTrial = false
        if let host {
            switch breaker.mayTry(host, by: job.sequence) {
            case .yes: isTrial = breaker.isOpen(host)
            case .waitUntil(let instant): return .hostAway(instant)
            }
        }
        failpoints.reached(.beforeAction)
        let now = PostgresTimestamp.now
        if job.attemptCount == 0 { job.firstAttemptAt = now }
        job.lastAttemptAt = now
        job.attemptCount += 1
        let outcome = thread.doer.attempt(action, at: job.actionIndex, of: observer, for: event) { mayGoOn(with: job) }
        failpoints.reached(.afterAction)
        switch outcome {
        case .done:
            if let host { breaker.succeeded(host) }
            thread.meters(observer.name, action.typeName).done(after: .now - job.receivedAt)
            job.passAction()
            return nil
        case .failed(let failure):
            if let host { if failure.isTheHosts { breaker.failed(host, by: job.sequence, isAnswered: failure.isAnswered) } else { breaker.succeeded(host) } }
            worker.meters.attemptFailed(failure.kind)
            // The one request that tries whether a host is back has told nothing of the event, unless the host has answered.
            if isTrial, failure.isTheHosts, !failure.isAnswered { job.attemptCount -= 1 }
            return failed(failure, action, observer, job, thread)
        case .notBegun:
            job.attemptCount -= 1
            return .later(.now + Self.permitInterval)
        }
    }

    private func failed(
        _ failure: ActionFailure, _ action: ObserverAction, _ observer: ObserverDefinition, _ job: EventJob, _ thread: ActionThread
    ) -> Next? {
        guard failure.isPermanent || job.attemptCount >= observer.retry.maxAttempts else {
            thread.meters(observer.name, action.typeName).retried.increment()
            let delay = max(
                observer.retry.delay(afterAttempt: max(1, job.attemptCount), random: .random(in: 0...1)), failure.retryAfter ?? .zero)
            logger.debug(
                "an action failed, and is tried again",
                metadata: fields(job, observer).merging(
                    ["error": "\(failure.text)", "attempt": .stringConvertible(job.attemptCount), "after_ms": .stringConvertible(Int(delay / .milliseconds(1)))]
                ) { $1 })
            return .later(.now + delay)
        }
        thread.meters(observer.name, action.typeName).failed.increment()
        let reason: DeadLetter.Reason = failure.isPermanent ? .permanent : .attemptsExhausted
        let metadata = fields(job, observer).merging(
            [
                "error": "\(failure.text)", "action": "\(action.typeName)", "attempts": .stringConvertible(job.attemptCount),
                "reason": "\(reason.rawValue)",
            ]
        ) { $1 }
        switch observer.onFailure {
        case .log:
            logger.error("an action failed for good: the event is passed over, as on_failure says", metadata: metadata)
            job.passObserver()
            return nil
        case .alert:
            worker.meters.alerted(observer.name)
            logger.error("an action failed for good: the event becomes a dead letter, and somebody is to look", metadata: metadata)
        case .dlq:
            logger.warning("an action failed for good: the event becomes a dead letter", metadata: metadata)
        }
        job.due = .deadLetter(letter(job, observer, reason: reason, error: failure.wholeText))
        return nil
    }

    private func letter(_ job: EventJob, _ observer: ObserverDefinition?, reason: DeadLetter.Reason, error: String) -> DeadLetter {
        let eventID = job.event?.id ?? job.message.messageID ?? "\(configuration.stream).\(job.sequence)"
        return DeadLetter(
            id: DeadLetter.id(eventID: eventID, consumer: configuration.consumer, observer: observer?.name), eventID: eventID,
            stream: configuration.stream, sequence: job.sequence, subject: job.message.subject, consumer: configuration.consumer,
            observer: observer?.name,
            action: observer.flatMap { observer in
                job.actionIndex < observer.actions.count ? (job.actionIndex, observer.actions[job.actionIndex].typeName) : nil
            },
            reason: reason, error: error, attempts: job.attemptCount, deliveries: job.deliveryCount, firstAt: job.firstAttemptAt?.description,
            lastAt: job.lastAttemptAt?.description, payload: job.message.payload)
    }

    /// - Returns: Whether it is stored.
    private func store(_ letter: DeadLetter, _ thread: ActionThread) -> Bool {
        guard let connection = thread.read().connection else { return false }
        do throws(JetStreamError) {
            failpoints.reached(.beforeDeadLetter)
            try DeadLetterBox(configuration, over: connection).put(letter)
            worker.mended(.deadLetters)
            return true
        } catch {
            worker.tell(
                .deadLetters, "a dead letter cannot be stored: the event waits", error,
                ["stream": "\(configuration.deadStream)", "event_id": "\(letter.eventID)"])
            return false
        }
    }

    private func acknowledge(_ job: EventJob, _ thread: ActionThread) -> Next {
        guard let connection = thread.read().connection else { return .later(.now + Self.tellInterval) }
        do throws(JetStreamError) {
            failpoints.reached(.beforeEventAck)
            if job.event == nil, !worker.isMarker(job.message.subject) {
                try connection.confirm(.terminated, to: job.reply, timeout: Self.tellTimeout)
            } else if job.observers?.isEmpty ?? true {
                // Delivered again, there would be nothing to do again.
                try connection.tell(.done, to: job.reply)
                thread.meters(WorkerMeters.none, WorkerMeters.none).done(after: .now - job.receivedAt)
            } else if job.isAcknowledgementDoubtful {
                // The server may have taken note, and answers only the first time. Should it have not, and deliver the event again, the board knows that it is done.
                try connection.tell(.done, to: job.reply)
            } else {
                try connection.confirm(.done, to: job.reply, timeout: Self.tellTimeout)
            }
            // That was of its advisory; older servers count the event itself as pending for ever.
            if job.isGivenUp {
                try connection.tell(.done, to: configuration.acknowledgementSubject(of: job.sequence, deliveries: job.deliveryCount))
            }
            worker.mended(.acknowledging)
            return .ended
        } catch {
            job.isAcknowledgementDoubtful = true
            worker.tell(
                .acknowledging, "nats-server has not confirmed an acknowledgement: the worker sends the acknowledgement again", error,
                ["sequence": .stringConvertible(job.sequence)])
            return .later(.now + Self.tellInterval)
        }
    }

    private func fields(_ job: EventJob, _ observer: ObserverDefinition?) -> Logger.Metadata {
        var fields: Logger.Metadata = ["sequence": .stringConvertible(job.sequence), "deliveries": .stringConvertible(job.deliveryCount)]
        if let event = job.event {
            fields["event_id"] = "\(event.id)"
            fields["entity_type"] = "\(event.entityType)"
            if let entityID = event.entityID { fields["entity_id"] = "\(entityID)" }
        }
        if let observer { fields["observer"] = "\(observer.name)" }
        return fields
    }
}
