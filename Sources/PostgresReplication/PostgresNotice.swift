/// What a server says beside its answers: a notice, a warning, or, to a session that asked nothing, why it ends.
public struct PostgresNotice: Sendable, Equatable {
    /// `DEBUG`, `LOG`, `INFO`, `NOTICE`, `WARNING`; `FATAL` or `PANIC` when the server ends an idle session. Never localised.
    public let severity: String
    /// Five characters; `00000` for most notices.
    public let sqlState: String
    public let message: String
    public let detail: String?
    public let hint: String?

    public init(severity: String, sqlState: String, message: String, detail: String? = nil, hint: String? = nil) {
        self.severity = severity
        self.sqlState = sqlState
        self.message = message
        self.detail = detail
        self.hint = hint
    }
}

extension PostgresNotice: CustomStringConvertible {
    public var description: String {
        "\(severity): \(message)" + (detail.map { " (\($0))" } ?? "") + (hint.map { ". \($0)" } ?? "")
    }
}

/// What is called with each notice, on the thread that owns the connection, from inside a call on that connection: it must
/// not use the connection, and must not wait.
public typealias NoticeHandler = @Sendable (PostgresNotice) -> Void
