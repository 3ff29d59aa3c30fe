import Glibc
import History
package import JetStreamPublishing
package import Logging
package import Observing
import Pipeline
import WAL

/// Does again what had failed for good, in the process of the command, and tells at once how it went.
package final class DeadLetterRetry {
    /// How one letter ended.
    package enum Result: Sendable {
        /// Its actions are done, and the letter is removed.
        case done(actions: Int)
        /// It stays; why.
        case stays(String)
    }

    private let configuration: WorkerConfiguration
    private let observers: [ObserverDefinition]
    private let doer: ActionDoer

    /// - Parameter observers: Those that there are now.
    package init(_ configuration: WorkerConfiguration, _ observers: [ObserverDefinition], over box: DeadLetterBox, logger: Logger) {
        self.configuration = configuration
        self.observers = observers.sorted { ($0.priority, $0.name) < ($1.priority, $1.name) }
        let connection = box.connection
        doer = ActionDoer(configuration, database: FunctionCaller(configuration.database), nats: { connection }, logger: logger)
    }

    /// Does the actions from the failed one on, each with its own attempts; removes the letter when all are done.
    ///
    /// The order within the event's entity is not kept: later events may have been handled long ago.
    /// - Throws: What the server has against removing it: its actions are done.
    package func retry(_ stored: DeadLetterBox.Stored, in box: DeadLetterBox) throws(JetStreamError) -> Result {
        let letter = stored.letter
        guard let payload = letter.payload, var event = ObservedEvent(payload: payload, messageID: letter.eventID, subject: letter.subject) else {
            return .stays("the dead letter holds no event that can be read: look with `slotstream-observer dead show \(stored.number)`")
        }
        event.id = letter.eventID
        var count = 0
        for (observer, first) in due(letter, event) {
            guard let observer else {
                return .stays("there is no observer \(letter.observer ?? "") any more: write the observer again, or drop the dead letter")
            }
            for (index, action) in observer.actions.enumerated().dropFirst(first) {
                if let failure = perform(action, at: index, of: observer, for: event) { return .stays("\(observer.name), \(action.typeName): \(failure)") }
                count += 1
            }
        }
        try box.remove(stored.number)
        return .done(actions: count)
    }

    /// Whose actions, and from which on; nil instead of one that there is no more.
    private func due(_ letter: DeadLetter, _ event: ObservedEvent) -> [(ObserverDefinition?, Int)] {
        if let name = letter.observer { return [(observers.first { $0.name == name }, letter.action?.index ?? 0)] }
        // Nobody knows how far its workers came: all of it.
        return observers.filter { $0.isFor(event) && ((try? $0.condition?.evaluate(event)) ?? ($0.condition == nil)) }.map { ($0, 0) }
    }

    /// - Returns: Why it failed; nil: it is done.
    private func perform(_ action: ObserverAction, at index: Int, of observer: ObserverDefinition, for event: ObservedEvent) -> String? {
        var attempt = 0
        while true {
            attempt += 1
            guard case .failed(let failure) = doer.attempt(action, at: index, of: observer, for: event) else { return nil }
            guard !failure.isPermanent, attempt < observer.retry.maxAttempts else { return failure.wholeText }
            let delay = max(observer.retry.delay(afterAttempt: attempt, random: .random(in: 0...1)), failure.retryAfter ?? .zero)
            usleep(useconds_t(clamping: Int64(min(delay, .seconds(60)) / .microseconds(1))))
        }
    }
}
