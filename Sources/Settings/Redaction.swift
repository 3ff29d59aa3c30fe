/// Texts with their secret parts as `***`.
///
/// Whatever is in doubt is hidden: these texts may be malformed, and a password with an `@`, `/` or `?` in it makes a URL ambiguous. A parameter is shown only
/// where its name is one of `openParameters`, so that a misspelled `pasword=…` stays hidden too.
enum Redaction {
    /// What stands for a hidden part.
    static let hidden = "***"

    /// libpq's keywords whose values are no secret. Source: PostgreSQL 18, "Parameter Key Words".
    private static let openParameters: Set<String> = [
        "host", "hostaddr", "port", "dbname", "user", "passfile", "require_auth", "channel_binding", "connect_timeout",
        "client_encoding", "options", "application_name", "fallback_application_name", "keepalives", "keepalives_idle",
        "keepalives_interval", "keepalives_count", "tcp_user_timeout", "replication", "gssencmode", "sslmode",
        "requiressl",
        "sslnegotiation", "sslcompression", "sslcert", "sslkey", "sslcertmode", "sslrootcert", "sslcrl", "sslcrldir",
        "sslsni",
        "requirepeer", "ssl_min_protocol_version", "ssl_max_protocol_version", "min_protocol_version",
        "max_protocol_version",
        "krbsrvname", "gsslib", "gssdelegation", "service", "target_session_attrs", "load_balance_hosts",
    ]

    /// A libpq conninfo, URI or keywords, without its passwords.
    static func connectionString(_ text: String) -> String {
        if text.isEmpty { return text }
        for scheme in ["postgresql://", "postgres://"] where text.hasPrefix(scheme) {
            return scheme + uriRest(text.dropFirst(scheme.count))
        }
        return keywords(text) ?? hidden
    }

    /// One NATS URL: everything before the `@` may be a token, and what stands behind a `?` or `#` may be one that somebody put there.
    static func natsURL(_ text: String) -> String {
        guard let at = text.lastIndex(of: "@") else { return withoutQuery(text) }
        // Which of the two a ? belongs to, nobody knows: the @ may be the query's.
        let isAmbiguous = text[..<at].contains { $0 == "?" || $0 == "#" }
        for scheme in ["nats://", "tls://"] where text.hasPrefix(scheme) {
            return scheme + hidden + (isAmbiguous ? "" : withoutQuery(text[at...]))
        }
        return hidden
    }

    /// A comma list of NATS URLs that need not be well-formed: a comma in a password would tear it apart, so one `@` hides all.
    static func natsURLs(_ text: String) -> String {
        text.contains("@") ? hidden : withoutQuery(text)
    }

    /// `text` up to the first `?` or `#`; what follows is hidden, further URLs included.
    private static func withoutQuery(_ text: some StringProtocol) -> String {
        guard let end = text.firstIndex(where: { $0 == "?" || $0 == "#" }) else { return String(text) }
        return String(text[...end]) + hidden
    }

    /// A path, unless it looks like a URL or a conninfo, written where a path belongs.
    static func path(_ text: String) -> String {
        let isConnection =
            text.contains("://") || text.contains("password") && text.contains("=")
            || text.contains("@") && !text.hasPrefix("/")
        return isConnection ? hidden : text
    }

    /// What follows the scheme of a URI.
    private static func uriRest(_ text: Substring) -> String {
        let question = text.firstIndex(of: "?") ?? text.endIndex
        var head = String(text[..<question])
        let query = text[question...].dropFirst()
        if let at = head.lastIndex(of: "@") {
            let colon = head[..<at].firstIndex(of: ":") ?? at
            head = head[..<colon] + (colon == at ? "" : ":" + hidden) + head[at...]
        } else if query.contains("@") {
            // Perhaps a password with a question mark in it.
            return hidden
        }
        if question == text.endIndex { return head }
        let parameters = query.split(separator: "&", omittingEmptySubsequences: false).map(uriParameter)
        return head + "?" + parameters.joined(separator: "&")
    }

    private static func uriParameter(_ text: Substring) -> String {
        guard let equals = text.firstIndex(of: "=") else { return hidden }
        let name = text[..<equals]
        if name == "ssl" || openParameters.contains(String(name)), !isNestedConnection(text[equals...].dropFirst()) {
            return String(text)
        }
        return hidden
    }

    /// A `dbname` may itself be a conninfo.
    private static func isNestedConnection(_ value: some StringProtocol) -> Bool {
        value.contains("=") || value.contains("@")
    }

    /// The keyword form, read as libpq reads it; nil where libpq would refuse it.
    private static func keywords(_ text: String) -> String? {
        var shown: [String] = []
        var rest = text.drop(while: \.isWhitespace)
        while !rest.isEmpty {
            let name = rest.prefix { $0 != "=" && !$0.isWhitespace }
            rest = rest[name.endIndex...].drop(while: \.isWhitespace)
            guard !name.isEmpty, rest.first == "=" else { return nil }
            rest = rest.dropFirst().drop(while: \.isWhitespace)
            guard let value = keywordValue(&rest) else { return nil }
            let isOpen = openParameters.contains(String(name)) && (name == "options" || !isNestedConnection(value))
            shown.append("\(name)=\(isOpen ? String(value) : hidden)")
            rest = rest.drop(while: \.isWhitespace)
        }
        return shown.joined(separator: " ")
    }

    /// Takes one value, as it is written, from the beginning of `rest`; nil where its closing quote is missing.
    private static func keywordValue(_ rest: inout Substring) -> Substring? {
        let isQuoted = rest.first == "'"
        var index = isQuoted ? rest.index(after: rest.startIndex) : rest.startIndex
        while index < rest.endIndex {
            let character = rest[index]
            if isQuoted ? character == "'" : character.isWhitespace { break }
            index = rest.index(after: index)
            if character == "\\", index < rest.endIndex { index = rest.index(after: index) }
        }
        if isQuoted {
            guard index < rest.endIndex else { return nil }
            index = rest.index(after: index)
        }
        defer { rest = rest[index...] }
        return rest[..<index]
    }
}
