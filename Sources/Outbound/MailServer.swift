/// The mail server that takes our mails, and who we are there.
package struct MailServer: Sendable {
    /// What is encrypted.
    package enum Security: Sendable, Hashable {
        /// All but the greeting: TLS is asked for, and nothing goes without it.
        case startTLS
        /// All, from the first byte on.
        case tls
        /// Nothing, a password neither.
        case none
    }

    package var host: String
    package var port: UInt16
    package var security: Security
    /// Who the mails are from: `shop@example.com` or `Shop <shop@example.com>`.
    package var from: String
    /// nil: without authentication.
    package var username: String?
    package var password: String?
    /// Of one mail, from the name's resolution to the server's last word.
    package var timeout: Duration
    /// The authorities to believe, in PEM, in place of the system's.
    package var caFile: String?

    package init(
        host: String, port: UInt16, security: Security, from: String, username: String?, password: String?, timeout: Duration, caFile: String?
    ) {
        self.host = host
        self.port = port
        self.security = security
        self.from = from
        self.username = username
        self.password = password
        self.timeout = timeout
        self.caFile = caFile
    }

    /// Finds what can never work, without connecting.
    /// - Throws: ``OutboundError/invalidURL(_:)``, ``OutboundError/invalidMail(_:)``.
    package func validate() throws(OutboundError) {
        _ = try TargetURL(self)
        _ = try Mailbox(from, of: "the sender")
        // They end at a NUL in C, and others stand between them in what is sent.
        guard [username, password].allSatisfy({ $0?.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control } ?? true }) else {
            throw .invalidMail("the user name or the password holds a control character")
        }
    }
}

extension MailServer: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "\(host):\(port)" }

    package var debugDescription: String { description }

    /// Without the password, for whoever prints all that a value has.
    package var customMirror: Mirror { Mirror(self, children: ["host": host, "port": port]) }
}
