/// A line in the worker's log.
package struct LogAction: Sendable {
    /// How weighty it is.
    package enum Level: String, CaseIterable, Sendable {
        /// For whoever looks for a fault.
        case trace
        /// For whoever looks for a fault.
        case debug
        /// The usual.
        case info
        /// Somebody should know.
        case warn
        /// Somebody should act.
        case error
    }

    /// How weighty it is.
    package let level: Level
    /// What it says.
    package let messageTemplate: Template

    /// The line's text. It may hold line breaks and control characters of the row: whoever writes the log sees to that.
    package func text(for event: ObservedEvent) -> String { messageTemplate.render(event, escaping: .none) }
}
