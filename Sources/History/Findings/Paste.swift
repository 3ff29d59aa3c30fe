/// What mends a finding, in the form in which somebody pastes the text.
package enum Paste: Sendable, Equatable {
    /// For psql, connected to the streamer's database.
    case sql(SQL)
    /// For a shell.
    case command(String)
    /// One key of the configuration, with its value.
    case setting(String)
    /// Lines of nats-server's configuration, which is then loaded.
    case natsServer(String)

    package struct SQL: Sendable, Equatable {
        /// Without their semicolons.
        package var statements: [String]
        /// They take a decision: somebody may need what they end, remove or open.
        package var isByHand: Bool
        /// What is done after them; nil: nothing.
        package var afterwards: String?
    }

    /// Statements without their semicolons.
    package static func sql(_ statements: String..., isByHand: Bool = false, then afterwards: String? = nil) -> Paste {
        .sql(SQL(statements: statements, isByHand: isByHand, afterwards: afterwards))
    }

    /// A setting of the server, which takes it without a restart.
    static func reloading(_ name: String, _ value: String) -> Paste {
        .sql("ALTER SYSTEM SET \(name) = \(value)", "SELECT pg_reload_conf()")
    }

    /// A setting of the server, which takes it when it starts.
    static func restarting(_ name: String, _ value: String) -> Paste {
        .sql("ALTER SYSTEM SET \(name) = \(value)", then: "restart PostgreSQL")
    }

    /// As it is pasted: what is to be done beside it stands in a comment.
    package var text: String {
        switch self {
        case .sql(let sql): sql.text
        case .command(let text), .setting(let text): text
        case .natsServer(let text): "\(text)   # nats-server's configuration; then: nats-server --signal reload"
        }
    }
}

extension Paste.SQL {
    /// On one line.
    package var text: String {
        statements.map { "\($0);" }.joined(separator: " ") + (afterwards.map { "  -- then \($0)" } ?? "")
    }
}
