import CLibPQ
import Glibc

extension LibPQConnection {
    /// How a command's answer ended.
    enum Answer: ~Copyable {
        case result(LibPQResult)
        /// The server streams now, in both directions.
        case copyBoth
    }

    /// Sends `sql` by the simple protocol, which is the only one that a walsender speaks, and waits for the whole answer.
    ///
    /// - Parameter isWanted: Asked ten times a second while the answer is waited for; false gives it up, as if the time were over.
    /// - Returns: The last result, when `sql` holds several statements.
    /// - Throws: `PostgresError`; errors show `sql` cut to 200 characters, so it must hold no secret.
    func run(
        _ sql: String, deadline: Deadline, isWanted: () -> Bool = { true }
    ) throws(PostgresError) -> Answer {
        try prepareToSend([sql])
        guard PQsendQuery(handle, sql) == 1 else { throw .connectionLost(message: Self.lossMessage(errorMessage)) }
        return try answer(to: sql, deadline: deadline, isWanted: isWanted)
    }

    /// Sends `sql` by the extended protocol with `parameters` as text, and waits for the whole answer.
    func run(
        _ sql: String, parameters: [String?], deadline: Deadline, isWanted: () -> Bool = { true }
    ) throws(PostgresError) -> Answer {
        try prepareToSend(parameters + [sql])
        let sent = CStringArray(parameters).withPointers { values in
            PQsendQueryParams(handle, sql, Int32(parameters.count), nil, values, nil, nil, 0)
        }
        guard sent == 1 else { throw .connectionLost(message: Self.lossMessage(errorMessage)) }
        return try answer(to: sql, deadline: deadline, isWanted: isWanted)
    }

    /// `run` for a command that must not begin to stream.
    func rows(
        _ sql: String, deadline: Deadline, isWanted: () -> Bool = { true }
    ) throws(PostgresError) -> LibPQResult {
        switch try run(sql, deadline: deadline, isWanted: isWanted) {
        case .result(let result): return result
        case .copyBoth: throw .protocolViolation(message: "the server begins to stream in answer to: " + Self.shown(sql))
        }
    }

    /// Sends `sql` by the simple protocol and gives each row of its answer to `body`, as it comes.
    func eachRow(of sql: String, deadline: Deadline, _ body: (OpaquePointer) -> Void) throws(PostgresError) {
        try prepareToSend([sql])
        guard PQsendQuery(handle, sql) == 1 else { throw .connectionLost(message: Self.lossMessage(errorMessage)) }
        PQsetSingleRowMode(handle)
        let command = Self.shown(sql)
        try sendAll(command: command, deadline: deadline)
        var refusal: PostgresError?
        var isAnswered = false
        while let result = try nextResult(command: command, deadline: deadline, isWanted: { true }) {
            switch result.status {
            case PGRES_SINGLE_TUPLE: result.lend(body)
            case PGRES_TUPLES_OK, PGRES_COMMAND_OK: isAnswered = true
            default: refusal = refusal ?? result.error(command: command)
            }
        }
        if let refusal { throw refusal }
        guard isAnswered else { throw .connectionLost(message: Self.lossMessage(errorMessage)) }
    }

    /// While an answer is waited for, `isWanted` is asked this often: sooner than a server that waits for a status loses patience.
    private static let lookInterval = Duration.milliseconds(100)

    private func prepareToSend(_ strings: [String?]) throws(PostgresError) {
        for string in strings {
            guard let string, string.utf8.contains(0) else { continue }
            throw .protocolViolation(message: "PostgreSQL's text cannot carry a NUL byte")
        }
        if let end = sessionEnd {
            throw .server(
                sqlState: end.sqlState, severity: end.severity, message: end.message, detail: end.detail,
                hint: end.hint,
                command: "none; the session had been ended before this one")
        }
        guard !isBroken else { throw .connectionLost(message: "the connection was closed before this command") }
        guard !isBusy else {
            throw .connectionLost(message: "an earlier command is still running")
        }
    }

    private func answer(
        to sql: String, deadline: Deadline, isWanted: () -> Bool
    ) throws(PostgresError) -> Answer {
        let command = Self.shown(sql)
        try sendAll(command: command, deadline: deadline)
        var refusal: PostgresError?
        var last: LibPQResult?
        while let result = try nextResult(command: command, deadline: deadline, isWanted: isWanted) {
            switch result.status {
            case PGRES_COPY_BOTH:
                return .copyBoth
            case PGRES_COPY_IN, PGRES_COPY_OUT:
                throw .protocolViolation(message: "COPY is not supported: " + command)
            case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
                last = consume result
            default:
                refusal = refusal ?? result.error(command: command)
            }
        }
        if let refusal { throw refusal }
        guard let last = consume last else {
            throw .connectionLost(message: Self.lossMessage(errorMessage))
        }
        return .result(last)
    }

    private func sendAll(command: String, deadline: Deadline) throws(PostgresError) {
        while true {
            let unsent = PQflush(handle)
            if unsent == 0 { return }
            guard unsent == 1 else { throw .connectionLost(message: Self.lossMessage(errorMessage)) }
            let events = deadline.wait(for: socket, events: POLLIN | POLLOUT)
            guard events != 0 else { throw .timedOut(command: command) }
            // The server may say something first, and may read on only when we have read that.
            if events & POLLIN != 0, PQconsumeInput(handle) == 0 {
                throw .connectionLost(message: Self.lossMessage(errorMessage))
            }
        }
    }

    private func nextResult(
        command: String, deadline: Deadline, isWanted: () -> Bool
    ) throws(PostgresError) -> LibPQResult? {
        while PQisBusy(handle) == 1 {
            guard deadline.limited(to: Self.lookInterval).wait(for: socket, events: POLLIN) != 0 else {
                guard !deadline.hasPassed, isWanted() else { throw .timedOut(command: command) }
                continue
            }
            // When this fails PQgetResult has the server's last words.
            if PQconsumeInput(handle) == 0 { break }
        }
        guard let result = PQgetResult(handle) else { return nil }
        return LibPQResult(result)
    }

    /// The beginning of `sql`, on one line.
    private static func shown(_ sql: String) -> String {
        let words = sql.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return words.count > shownCharacterLimit ? words.prefix(shownCharacterLimit) + "…" : words
    }

    /// Of a command, in an error: enough to know it by.
    private static let shownCharacterLimit = 80
}
