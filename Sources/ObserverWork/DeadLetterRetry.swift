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
    package enum Outcome: Sendable {
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
    package func retry(_ stored: DeadLetterBox.Stored, in box: DeadLetterBox) throws(JetStreamError) -> Outcome {
        guard let letter = stored.letter else { return .stays("the message is no dead letter of a worker's") }
        guard letter.consumer == configuration.consumer else {
            return .stays("the dead letter is of the consumer \(letter.consumer): use the file with that consumer_name")
        }
        let body = if let payload = letter.payload { payload } else { try omitted(letter, box) }
        guard let payload = body, var event = ObservedEvent(payload: payload, messageID: letter.eventID, subject: letter.subject)
        else { return .stays("there is no event that can be read: look with `slotstream-observer dead show \(stored.number)`") }
        event.id = letter.eventID
        let due: [(observer: ObserverDefinition, first: Int)]
        switch self.due(letter, event) {
        case .success(let found): due = found
        case .failure(let why): return .stays(why.text)
        }
        var count = 0
        for (observer, first) in due {
            for (index, action) in observer.actions.enumerated().dropFirst(first) {
                if let failure = perform(action, at: index, of: observer, for: event) {
                    return .stays("\(observer.name), \(action.typeName): \(failure)")
                }
                count += 1
            }
        }
        try box.remove(stored.number)
        return .done(actions: count)
    }

    /// The event of a letter that has no room for it.
    private func omitted(_ letter: DeadLetter, _ box: DeadLetterBox) throws(JetStreamError) -> [UInt8]? {
        guard letter.isEventOmitted, letter.stream == configuration.stream else { return nil }
        let message = try box.connection.message(letter.stream, sequence: letter.sequence)
        // The stream may have been made anew.
        return message.flatMap { $0.subject == letter.subject ? $0.payload : nil }
    }

    /// Why nothing can be done.
    private struct Refusal: Error {
        let text: String
    }

    /// Whose actions, and from which on.
    private func due(_ letter: DeadLetter, _ event: ObservedEvent) -> Result<[(observer: ObserverDefinition, first: Int)], Refusal> {
        guard let name = letter.observer else { return dueOfAll(event) }
        guard let observer = observers.first(where: { $0.name == name }) else {
            return .failure(Refusal(text: "there is no observer \(name) any more: write the observer again, or drop the dead letter"))
        }
        guard let action = letter.action else { return .success([(observer, 0)]) }
        guard action.index < observer.actions.count, observer.actions[action.index].typeName == action.type else {
            return .failure(
                Refusal(
                    text: "the observer \(name) has no action \(action.index + 1) of the type \(action.type) any more: write the action again, or drop the dead letter"))
        }
        return .success([(observer, action.index)])
    }

    /// Nobody knows how far the workers came: all of it.
    private func dueOfAll(_ event: ObservedEvent) -> Result<[(observer: ObserverDefinition, first: Int)], Refusal> {
        var due: [(observer: ObserverDefinition, first: Int)] = []
        for observer in observers where observer.isFor(event) {
            do throws(ConditionError) {
                if try observer.condition?.evaluate(event) ?? true { due.append((observer, 0)) }
            } catch {
                return .failure(Refusal(text: "the condition of \(observer.name) cannot be answered: \(error)"))
            }
        }
        return due.isEmpty ? .failure(Refusal(text: "no observer is for this event: drop the dead letter, or write the observer again")) : .success(due)
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
