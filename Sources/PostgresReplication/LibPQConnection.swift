import CLibPQ
import Glibc

/// One `PGconn`, closed when this goes.
///
/// Owned by one thread. Never blocks in libpq: it is in non-blocking mode from its first moment, and every wait is a poll(2)
/// with a deadline. The exception is the name lookup at connect, which is getaddrinfo(3): hence `ConnectAttempt`.
struct LibPQConnection: ~Copyable {
    let handle: OpaquePointer
    private let relay: Unmanaged<NoticeRelay>

    /// Takes ownership of `handle`.
    private init(handle: OpaquePointer, onNotice: NoticeHandler?) {
        self.handle = handle
        self.relay = NoticeRelay.install(on: handle, handler: onNotice)
    }

    deinit {
        PQfinish(handle)
        NoticeRelay.uninstall(relay)
    }

    var socket: Int32 { PQsocket(handle) }
    var serverVersion: Int { Int(PQserverVersion(handle)) }
    var backendPID: Int32 { PQbackendPID(handle) }
    /// The host as the connection string has it: a name, an address, or the directory of a Unix socket.
    var host: String { PQhost(handle).map { String(cString: $0) } ?? "" }
    var port: String { PQport(handle).map { String(cString: $0) } ?? "" }
    /// The address that the host's name gave; "" for a Unix socket.
    var address: String { PQhostaddr(handle).map { String(cString: $0) } ?? "" }
    /// Host and port for people; the address too where a name gave it.
    var endpoint: String {
        let address = address
        return address.isEmpty || address == host ? "\(host):\(port)" : "\(host) (\(address)):\(port)"
    }
    /// Over TLS or GSS libpq reads whole records, and may hold bytes that the socket no longer announces.
    var isEncrypted: Bool { PQsslInUse(handle) == 1 || PQgssEncInUse(handle) == 1 }
    /// In what way the connection is open to others on its way to another machine; nil: it does not leave this one, or is encrypted to a
    /// server whose certificate was verified.
    var exposure: String? {
        if host.hasPrefix("/") || host.hasPrefix("@") || Self.isLoopback(address) || PQgssEncInUse(handle) == 1 { return nil }
        guard PQsslInUse(handle) == 1 else { return "the connection is not encrypted" }
        return verifiesCertificate ? nil : "the server's certificate is not verified"
    }
    private static func isLoopback(_ address: String) -> Bool {
        address.hasPrefix("127.") || address == "::1" || address.hasPrefix("::ffff:127.")
    }
    /// Whether libpq has checked the certificate: demanded by `sslmode`, or done because there is a file with authorities.
    private var verifiesCertificate: Bool {
        if let mode = option("sslmode"), mode.hasPrefix("verify-") { return true }
        let home = getenv("HOME").map { String(cString: $0) } ?? ""
        let authorities = option("sslrootcert") ?? ""
        return access(authorities.isEmpty ? home + "/.postgresql/root.crt" : authorities, F_OK) == 0
    }
    var isBroken: Bool { PQstatus(handle) != CONNECTION_OK }
    /// A command is under way: it runs, it streams, or its answer never came.
    var isBusy: Bool { PQtransactionStatus(handle) == PQTRANS_ACTIVE }
    /// What the server said when it ended an idle session; nil as long as it has not.
    var sessionEnd: PostgresNotice? { relay._withUnsafeGuaranteedRef { $0.sessionEnd } }
    /// libpq's last error text.
    var errorMessage: String { PQerrorMessage(handle).map { Self.trimmed(Self.text($0)) } ?? "" }

    /// Starts to connect; the rest is `connect`'s.
    private static func start(
        _ keywords: [(keyword: String, value: String)], onNotice: NoticeHandler?
    ) throws(PostgresError) -> LibPQConnection {
        let handle = CStringArray(keywords.map(\.keyword)).withPointers { names in
            CStringArray(keywords.map(\.value)).withPointers { values in
                PQconnectStartParams(names, values, 1)
            }
        }
        guard let handle else { throw .connectionFailed(message: "libpq is out of memory", sqlState: nil) }
        return LibPQConnection(handle: handle, onNotice: onNotice)
    }

    /// Connects to the first host that takes us.
    ///
    /// libpq goes on to the next host by itself when one refuses, is unreachable, starts up, or is not what `target_session_attrs`
    /// asks for. It does not when a host accepts and then says nothing (frozen, or its packets are dropped): then the attempt is
    /// made again without that host.
    /// - Throws: `PostgresError.connectionFailed`, with the server's SQLSTATE where it gave one; `.connectionStringInvalid`; `.passwordMissing`.
    static func open(
        _ parameters: ConnectionParameters, replication: String, deadline: Deadline, onNotice: NoticeHandler?,
        whileWaiting: () -> Void = {}
    ) throws(PostgresError) -> LibPQConnection {
        try ConnectAttempt.run(deadline: deadline, whileWaiting: whileWaiting) { () throws(PostgresError) in
            try openHere(parameters, replication: replication, deadline: deadline, onNotice: onNotice)
        }
    }

    /// `open` on this thread, which waits for names for as long as the resolver likes.
    private static func openHere(
        _ parameters: ConnectionParameters, replication: String, deadline: Deadline, onNotice: NoticeHandler?
    ) throws(PostgresError) -> LibPQConnection {
        let parameters = parameters.current
        try parameters.validate()
        var hosts: HostList?
        var silent: [String] = []
        while true {
            let connection = try start(
                parameters.keywords(replication: replication, hosts: hosts), onNotice: onNotice)
            // Only the verbose form of a refused connection's error has its SQLSTATE.
            PQsetErrorVerbosity(connection.handle, PQERRORS_VERBOSE)
            var remaining = hosts ?? connection.hostList()
            switch connection.connect(parameters, hostCount: remaining.count, deadline: deadline) {
            case .connected:
                PQsetErrorVerbosity(connection.handle, PQERRORS_DEFAULT)
                guard PQsetnonblocking(connection.handle, 1) == 0 else {
                    throw .connectionFailed(message: connection.errorMessage, sqlState: nil)
                }
                return connection
            case .failed:
                throw connection.connectFailure(silent: silent)
            case .timedOut:
                silent.append("\(connection.host):\(connection.port) did not answer in time")
                let others = remaining.remove(
                    name: connection.host, address: connection.address, port: connection.port)
                guard others, !deadline.hasPassed else {
                    throw .connectionFailed(message: silent.joined(separator: "; "), sqlState: nil)
                }
                hosts = remaining
            }
        }
    }

    private enum ConnectOutcome {
        case connected
        case failed
        case timedOut
    }

    /// Drives libpq until it is connected, has failed, or has been on one address for too long.
    private func connect(_ parameters: ConnectionParameters, hostCount: Int, deadline: Deadline) -> ConnectOutcome {
        let share = deadline.remaining / max(1, hostCount)
        let limit = connectTimeoutOption() ?? parameters.connectTimeout ?? share
        var hostDeadline = deadline.limited(to: limit)
        var current = (host, address, port)
        // Before the first PQconnectPoll libpq asks to be treated as if that had returned WRITING.
        var state = PGRES_POLLING_WRITING
        while true {
            switch state {
            case PGRES_POLLING_OK: return .connected
            case PGRES_POLLING_READING, PGRES_POLLING_WRITING: break
            default: return .failed
            }
            guard PQstatus(handle) != CONNECTION_BAD else { return .failed }
            let next = (host, address, port)
            if next != current {
                current = next
                hostDeadline = deadline.limited(to: limit)
            }
            // PQconnectPoll may open another socket: it is asked for each time.
            if hostDeadline.wait(for: socket, events: state == PGRES_POLLING_READING ? POLLIN : POLLOUT) == 0 {
                return .timedOut
            }
            state = PQconnectPoll(handle)
        }
    }

    /// The values that libpq settled on, from the string, the service file and the environment.
    private func hostList() -> HostList {
        HostList(hosts: option("host") ?? "", addresses: option("hostaddr") ?? "", ports: option("port") ?? "")
    }

    /// A `connect_timeout` that the user set; libpq takes 0 and less for none.
    private func connectTimeoutOption() -> Duration? {
        guard let seconds = option("connect_timeout").flatMap({ Int32($0) }), seconds > 0 else { return nil }
        return .seconds(max(2, seconds))
    }

    private func option(_ keyword: String) -> String? {
        guard let options = PQconninfo(handle) else { return nil }
        defer { PQconninfoFree(options) }
        var index = 0
        while let name = options[index].keyword {
            if strcmp(name, keyword) == 0 { return options[index].val.map { String(cString: $0) } }
            index += 1
        }
        return nil
    }

    private func connectFailure(silent: [String]) -> PostgresError {
        let lines = errorMessage.split(separator: "\n").filter { !$0.hasPrefix("LOCATION:") }
        let message = (silent + lines.map { Self.trimmed(String($0.drop(while: \.isWhitespace))) }).joined(separator: "; ")
        if PQconnectionNeedsPassword(handle) == 1 { return .passwordMissing(message: message) }
        // libpq's words about an option, which are English as long as the program calls no `setlocale`. What it could not read may be a password.
        if ["invalid ", "could not match "].contains(where: { message.hasPrefix($0) }) {
            return .connectionStringInvalid(message: ConnectionParameters.withoutQuotedParts(message))
        }
        return .connectionFailed(message: message, sqlState: Self.sqlState(inVerbose: lines.map { String($0) }))
    }

    /// The last SQLSTATE in libpq's verbose text: `…: FATAL:  28P01: password authentication failed…`.
    private static func sqlState(inVerbose lines: [String]) -> String? {
        for line in lines.reversed() {
            let parts = line.split(separator: ":")
            for (severity, code) in zip(parts, parts.dropFirst()) {
                let code = code.drop { $0 == " " }
                // The severity is the server's language's; two blanks and five characters are what stands.
                guard code.utf8.count == 5, line.contains("\(severity):  \(code): "),
                    code.utf8.allSatisfy({ (48...57).contains($0) || (65...90).contains($0) })
                else { continue }
                return String(code)
            }
        }
        return nil
    }

    /// Puts words to libpq's guess about a connection that was closed without an error message.
    static func lossMessage(_ message: String) -> String {
        // The first is said of a plain connection, the others over TLS.
        let endings = [
            "server closed the connection unexpectedly", "SSL connection has been closed unexpectedly", "EOF detected",
        ]
        guard message.isEmpty || endings.contains(where: { message.contains($0) }) else { return message }
        return "the server closed the connection without an error message"
            + " (wal_sender_timeout, a crash, or a backend that was killed)"
    }

    /// Bytes of one text, the server's or libpq's, that an error or a notice keeps: a server may send a gigabyte.
    static let textByteLimit = 8 * 1024

    /// A C string, or its beginning.
    static func text(_ text: UnsafePointer<CChar>) -> String {
        let byteCount = strnlen(text, textByteLimit + 1)
        let kept = UnsafeRawBufferPointer(start: text, count: min(byteCount, textByteLimit))
        // A character that the end cuts through becomes U+FFFD.
        return String(decoding: kept, as: UTF8.self) + (byteCount > textByteLimit ? "…" : "")
    }

    /// `text` without the line feed that libpq ends its messages with.
    static func trimmed(_ text: String) -> String {
        var text = Substring(text)
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text)
    }
}
