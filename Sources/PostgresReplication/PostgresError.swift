/// Why a call to PostgreSQL failed.
///
/// Messages are libpq's or the server's own; they hold no password and no query parameter.
public enum PostgresError: Error, Sendable, Equatable {
    /// No connection came about. `sqlState` is there when a server refused it: `28P01` wrong password, `3D000` no such
    /// database, `53300` too many connections, `57P03` starting up; nil when none was reached, or TLS failed.
    case connectionFailed(message: String, sqlState: String?)
    /// The connection string cannot be used, whatever a server says.
    case connectionStringInvalid(message: String)
    /// The server asks for a password, and there is none to be found.
    case passwordMissing(message: String)
    /// A connection that stood is gone, or was used after it went.
    case connectionLost(message: String)
    /// The server refused `command`; or it ended the session, with `severity` FATAL or PANIC.
    case server(
        sqlState: String, severity: String, message: String, detail: String?, hint: String?, command: String)
    /// The server has no longer the WAL that it would have to read for `command` (58P01).
    case walRemoved(message: String, command: String)
    /// The server said what the protocol does not allow here, or we were asked to send what it cannot carry.
    case protocolViolation(message: String)
    /// No answer to `command` in time. The connection still waits for it and takes no other command: close it.
    case timedOut(command: String)
}

extension PostgresError {
    /// The server's five-character error code, if a server said anything.
    public var sqlState: String? {
        switch self {
        case .connectionFailed(_, let sqlState): sqlState
        case .server(let sqlState, _, _, _, _, _): sqlState
        case .walRemoved: "58P01"
        case .connectionLost, .connectionStringInvalid, .passwordMissing, .protocolViolation, .timedOut: nil
        }
    }

    /// 28xxx, or no password: the server did not accept who we say we are, or its pg_hba.conf has no line for us.
    public var isAuthentication: Bool { isPassword || sqlState?.hasPrefix("28") ?? false }

    /// 28P01, or none where one is asked for: another password may be taken.
    public var isPassword: Bool {
        if case .passwordMissing = self { return true }
        return sqlState == "28P01"
    }

    /// The connection string is at fault.
    public var isConnectionString: Bool {
        if case .connectionStringInvalid = self { true } else { false }
    }

    /// A connection pooler answers, and not PostgreSQL: it refuses the parameter `replication` at the start (08P01, by which a connection that has to be direct is refused too), or leaves it
    /// out, and then the server takes `IDENTIFY_SYSTEM` for SQL.
    public var isPooler: Bool {
        switch self {
        case .connectionFailed(_, "08P01"?), .server("42601", _, _, _, _, "IDENTIFY_SYSTEM"): true
        case .connectionFailed, .connectionStringInvalid, .passwordMissing, .connectionLost, .server, .walRemoved,
            .protocolViolation, .timedOut:
            false
        }
    }

    /// 42501 or 28xxx: a right is missing (REPLICATION, CONNECT, ownership), or authentication failed.
    public var isPermission: Bool { sqlState == "42501" || isAuthentication }

    /// 55006: the slot is active for another session.
    public var isObjectInUse: Bool { sqlState == "55006" }

    /// 42710: a slot, publication or role of that name is there already.
    public var isDuplicateObject: Bool { sqlState == "42710" }

    /// 42704: no such slot, publication or role.
    public var isUndefinedObject: Bool { sqlState == "42704" }

    /// 57P01 to 57P03: the server is stopping, has crashed, or is starting up. `pg_terminate_backend` is 57P01 too.
    public var isShuttingDown: Bool {
        switch sqlState {
        case "57P01", "57P02", "57P03": true
        default: false
        }
    }

    /// The connection came to nothing because of TLS: a certificate not trusted, not readable or for another host, or a
    /// side without TLS. A server that dies during the handshake, or cannot answer yet, is none of these.
    ///
    /// libpq has no code for it. It is told by libpq's own words, which are English as long as the program calls no
    /// `setlocale`.
    public var isTLS: Bool {
        guard case .connectionFailed(let message, nil) = self else { return false }
        // A line for each host and for each try.
        return message.split(whereSeparator: { $0 == "\n" || $0 == ";" }).contains { line in
            !Self.passingTLSFaults.contains { line.contains($0) }
                && ["SSL", "certificate", "private key file", "tlsv1 alert"].contains { line.contains($0) }
        }
    }

    /// The connection broke; the postmaster could not fork, or had no room for one more; the connection was closed behind OpenSSL's back.
    ///
    /// Source: libpq, `fe-connect.c` and `fe-secure-openssl.c`.
    private static let passingTLSFaults = [
        "SSL SYSCALL error", "server sent an error response during SSL exchange", "unexpected eof while reading", "SSL connection has been closed unexpectedly",
    ]
}

extension PostgresError {
    /// No server answered.
    package var isUnreachable: Bool {
        switch self {
        case .connectionFailed(_, nil), .connectionLost: true
        case .connectionFailed, .connectionStringInvalid, .passwordMissing, .server, .walRemoved, .protocolViolation, .timedOut:
            false
        }
    }
}

extension PostgresError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .connectionFailed(let message, let sqlState):
            // The verbose form of libpq's message has it already.
            let code = sqlState.flatMap { message.contains($0) ? nil : " (SQLSTATE \($0))" } ?? ""
            return "cannot connect to PostgreSQL: " + message + code
        case .connectionStringInvalid(let message):
            return "the connection string cannot be used: " + message
        case .passwordMissing(let message):
            return "the server asks for a password, and there is none: " + message
        case .connectionLost(let message):
            return "the connection to PostgreSQL is lost: " + message
        case .server(let sqlState, let severity, let message, let detail, let hint, let command):
            var text = "PostgreSQL answered \(severity) \(sqlState): \(message)"
            if let detail { text += "; detail: " + detail }
            if let hint { text += "; hint: " + hint }
            return text + "; command: " + command
        case .walRemoved(let message, let command):
            return "PostgreSQL answered ERROR 58P01: \(message); command: \(command)"
        case .protocolViolation(let message):
            return "PostgreSQL's answer cannot be used: " + message
        case .timedOut(let command):
            return "PostgreSQL did not answer in time; command: " + command
        }
    }
}
