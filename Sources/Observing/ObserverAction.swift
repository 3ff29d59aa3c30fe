/// What an observer does about an event.
package enum ObserverAction: Sendable {
    /// A request to an address.
    case webhook(WebhookAction)
    /// A message in Slack.
    case slack(SlackAction)
    /// A mail.
    case email(EmailAction)
    /// A call of a function in PostgreSQL.
    case database(DatabaseAction)
    /// A line in the log.
    case log(LogAction)
    /// A message on a NATS subject.
    case nats(NATSAction)

    /// `type` as the file has it.
    package var typeName: String {
        switch self {
        case .webhook: "webhook"
        case .slack: "slack"
        case .email: "email"
        case .database: "database"
        case .log: "log"
        case .nats: "nats"
        }
    }

    /// All types that can be done, in the order in which they are told.
    package static let typeNames = ["webhook", "slack", "email", "database", "log", "nats"]
}
