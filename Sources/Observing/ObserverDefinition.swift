/// One observer: which events it is for, what it does, and what happens where that fails.
package struct ObserverDefinition: Sendable {
    /// Where a definition was read.
    package enum Origin: String, Sendable {
        /// The configuration file.
        case file
        /// FraiseQL's table `tb_observer`.
        case database
    }

    /// What is done about an event whose actions failed for good.
    package enum OnFailure: String, CaseIterable, Sendable {
        /// A line in the log.
        case log
        /// A dead letter, a line in the log as an error, and a count.
        case alert
        /// A dead letter.
        case dlq
    }

    /// Where nothing else is said: FraiseQL's.
    package static let defaultPriority = 100
    /// Where nothing else is said: FraiseQL's.
    package static let defaultActionTimeout = Duration.seconds(30)

    /// In logs, metrics and dead letters; 1 to 255 bytes, without control characters.
    package let name: String
    /// Where it was read.
    package let origin: Origin
    /// The exact name of the entity; nil: all.
    package var entity: String?
    /// nil: all but `.read`. A backfill of a large table is no reason to act on each of its rows, where nobody has said so.
    package var eventType: EventType?
    /// nil: none.
    package var condition: Condition?
    /// What is done about an event whose actions failed for good.
    package var onFailure = OnFailure.dlq
    /// Of each action.
    package var retry = RetryPolicy()
    /// In the order in which they are done.
    package var actions: [ObserverAction]
    /// Of several observers of one event the lowest comes first, then by name.
    package var priority = defaultPriority
    /// What one attempt of an action may take.
    package var actionTimeout = defaultActionTimeout
    /// Whether it does anything.
    package var isEnabled = true

    /// Takes these as they are, and the rest as where nothing is said.
    package init(name: String, origin: Origin, actions: [ObserverAction]) {
        self.name = name
        self.origin = origin
        self.actions = actions
    }

    /// Whether it is for events of that entity and kind; its condition is another question.
    package func isFor(_ event: ObservedEvent) -> Bool {
        // By their bytes: two spellings of one name in Unicode are two tables to PostgreSQL.
        isEnabled && entity.map { $0.utf8.elementsEqual(event.entityType.utf8) } ?? true
            && eventType.map { $0 == event.eventType } ?? (event.eventType != .read)
    }
}
