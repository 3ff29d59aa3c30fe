/// The mail server of `[observers.runtime.email]`.
package struct MailServerSettings: Sendable, Equatable {
    /// How the connection is protected.
    package enum Encryption: String, CaseIterable, Sendable {
        /// Begun in the open, and encrypted before anything is said.
        case startTLS = "start_tls"
        /// From its first byte.
        case tls
        /// Not at all.
        case none
    }

    /// What the server is told of who sends.
    package struct Credentials: Sendable, Equatable {
        package let username: String
        package let password: ActionSecret
    }

    /// A name or an address.
    package let host: String
    /// 587 where none is said.
    package let port: Int
    /// Who all mails are from.
    package let from: MailAddress
    /// nil: none are asked for.
    package let credentials: Credentials?
    /// How the connection is protected.
    package let encryption: Encryption
    /// Of one mail.
    package let timeout: Duration
}
