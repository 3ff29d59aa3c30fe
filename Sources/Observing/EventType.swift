/// The kinds of events that observers tell apart, by the names that they have in configurations.
package enum EventType: String, CaseIterable, Sendable {
    /// A row was added.
    case insert = "INSERT"
    /// A row was changed.
    case update = "UPDATE"
    /// A row was removed.
    case delete = "DELETE"
    /// A backfill has read a row, to which nothing happened.
    case read = "READ"
    /// Everything else: TRUNCATE, and what logical messages name.
    case custom = "CUSTOM"

    /// The kind of an event with that operation.
    package init(operation: String) {
        self = EventType(rawValue: operation) ?? .custom
    }
}
