/// What came of a statement that runs code of others.
public enum IsolatedAnswer: Sendable, Equatable {
    case rows([[String?]])
    /// The statement failed, with a code that the others' code may have chosen; the session is whole.
    case refused(sqlState: String)
}

extension SQLConnection {
    /// Runs one statement that may run code of others, so that nothing of it stays: read only, rolled back, ended by the server when its time is over.
    ///
    /// - Parameter searchPath: Where the statement's names are looked for; nil leaves the session's.
    /// - Throws: `PostgresError` when the session failed; never what the statement itself was refused with.
    public func isolatedQuery(
        _ sql: String, _ parameters: [String?] = [], searchPath: String? = nil, timeout: Duration
    ) throws(PostgresError) -> IsolatedAnswer {
        // 0 would be no limit.
        let milliseconds = max(1, Int(timeout / .milliseconds(1)))
        // LOCAL: what the statement itself sets is rolled back with it.
        var begin = "BEGIN READ ONLY; SET LOCAL statement_timeout = \(milliseconds); SET LOCAL row_security = off"
        if let searchPath { begin += "; SET LOCAL search_path = \(searchPath)" }
        try execute(begin)
        let answer: IsolatedAnswer
        do throws(PostgresError) {
            // The server is first to give up.
            answer = .rows(try query(sql, parameters, timeout: timeout + .milliseconds(500)))
        } catch {
            guard case .server(let sqlState, _, _, _, _, _) = error else { throw error }
            answer = .refused(sqlState: sqlState)
        }
        // That this works tells the statement's failure from the session's.
        try execute("ROLLBACK")
        return answer
    }
}
