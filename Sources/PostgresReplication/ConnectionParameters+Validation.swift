import CLibPQ

extension ConnectionParameters {
    /// Refuses a connection string that libpq cannot read, before libpq puts a piece of it into an error message.
    ///
    /// What libpq could not read may be the password, so nothing of it is repeated here.
    /// - Throws: `PostgresError.connectionFailed`, without SQLSTATE.
    func validate() throws(PostgresError) {
        guard !conninfo.utf8.contains(0), !applicationName.utf8.contains(0) else {
            throw .connectionFailed(message: "the connection string contains a NUL byte", sqlState: nil)
        }
        let isURI = conninfo.hasPrefix("postgresql://") || conninfo.hasPrefix("postgres://")
        // libpq takes any other string for a database name.
        guard isURI || conninfo.utf8.contains(UInt8(ascii: "=")) else { return }

        // `postgres://user:p@ss@host` and `postgres://user:p/ss@host` are legal to libpq: it takes a part of the password for
        // a host or a port, and names it when that host is not found.
        if isURI {
            let path = conninfo.prefix { $0 != "?" }
            let schemeEnd = path.utf8.firstIndex(of: UInt8(ascii: "/")) ?? path.startIndex
            let authority = path[schemeEnd...].drop { $0 == "/" }
            let signs = authority.filter { $0 == "@" }.count
            let firstPart = authority.prefix { $0 != "/" }
            guard signs == 0 || (signs == 1 && firstPart.contains("@")) else {
                throw .connectionFailed(
                    message:
                        "the connection URI has a bare @ or / in its user name or password: write them as %40 and %2F",
                    sqlState: nil)
            }
        }

        var problem: UnsafeMutablePointer<CChar>?
        let options = PQconninfoParse(conninfo, &problem)
        guard options == nil else {
            PQconninfoFree(options)
            return
        }
        defer { PQfreemem(problem) }
        let message = problem.map { Self.withoutQuotedParts(String(cString: $0)) } ?? "out of memory"
        throw .connectionFailed(message: "the connection string cannot be read: " + message, sqlState: nil)
    }

    /// `message` without what stands between its first and its last double quote.
    private static func withoutQuotedParts(_ message: String) -> String {
        let text = LibPQConnection.trimmed(message)
        guard let first = text.firstIndex(of: "\""), let last = text.lastIndex(of: "\""), first < last else {
            return text
        }
        return text[...first] + "…" + text[last...]
    }
}
