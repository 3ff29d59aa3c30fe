import CLibPQ

extension ConnectionParameters {
    /// Refuses a connection string that libpq cannot read, before libpq puts a piece of it into an error message.
    ///
    /// What libpq could not read may be the password, so nothing of it is repeated here.
    /// - Throws: `PostgresError.connectionStringInvalid`.
    func validate() throws(PostgresError) {
        guard !conninfo.utf8.contains(0), !applicationName.utf8.contains(0) else {
            throw .connectionStringInvalid(message: "the connection string contains a NUL byte")
        }
        let isURI = conninfo.hasPrefix("postgresql://") || conninfo.hasPrefix("postgres://")
        // libpq takes any other string for a database name.
        guard isURI || conninfo.utf8.contains(UInt8(ascii: "=")) else { return }

        // `postgres://user:p@ss@host`, `postgres://user:p/ss@host` and `postgres://user:p?a@ss@host` are legal to libpq: it takes a part of
        // the password for a host or a port, and names it when that host is not found.
        if isURI {
            let schemeEnd = conninfo.utf8.firstIndex(of: UInt8(ascii: "/")) ?? conninfo.startIndex
            let rest = conninfo[schemeEnd...].dropFirst(2)
            // As libpq looks for them: up to the first @ with no / before it.
            let end = rest.firstIndex { $0 == "@" || $0 == "/" }
            let credentials = end.flatMap { rest[$0] == "@" ? rest[..<$0] : nil }
            let hostAndPath = rest[(credentials?.endIndex ?? rest.startIndex)...].dropFirst(credentials == nil ? 0 : 1)
            guard credentials?.contains("?") != true, !hostAndPath.prefix(while: { $0 != "?" }).contains("@") else {
                throw .connectionStringInvalid(
                    message:
                        "the connection URI has a bare @, / or ? in its user name or password, or a bare @ behind its ?: write them as %40, %2F and %3F"
                )
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
        throw .connectionStringInvalid(message: message)
    }

    /// `message` without what stands between its first and its last double quote; but an option whose value is wrong is named.
    static func withoutQuotedParts(_ message: String) -> String {
        let text = LibPQConnection.trimmed(message)
        let parts = text.split(separator: "\"", omittingEmptySubsequences: false)
        if parts.count >= 5, let name = parts.dropLast().last, parts[parts.count - 3] == " for connection option " {
            return "\(parts[0])\"…\" for connection option \(name)"
        }
        guard let first = text.firstIndex(of: "\""), let last = text.lastIndex(of: "\""), first < last else {
            return text
        }
        return text[...first] + "…" + text[last...]
    }
}
