import Capture

/// What is the same for all observers.
extension ObserverReader {
    /// Keys of FraiseQL's server beside `email` in `[observers.runtime]`: accepted and not used.
    private static let foreignKeys = [
        "auto_reload", "batch_size", "channel_capacity", "log_payloads", "max_dlq_size", "poll_interval_ms", "pool", "redis", "reload_interval_secs",
        "transport",
    ]

    /// `[observers.runtime]`
    mutating func readRuntime(_ value: ObserverValue, _ path: String) {
        guard let table = table(value, path) else { return }
        checkKeys(table, ["email"], ignoring: Self.foreignKeys)
        let foreign = table.members.keys.filter(Self.foreignKeys.contains).sorted()
        if !foreign.isEmpty { note(path, "\(foreign.joined(separator: ", ")): known from FraiseQL, not used.") }
        guard !isAbsent("email", table), let email = table.members["email"] else { return }
        let emailPath = "\(path).email"
        if hasMailServer { complain(emailPath, "stands here a second time; there is one mail server for all observers") }
        hasMailServer = true
        if let email = self.table(email, emailPath) { mailServer = readMailServer(email) }
    }

    private mutating func readMailServer(_ table: Table) -> MailServerSettings? {
        let mistakeCount = mistakes.count
        checkKeys(table, ["host", "port", "from", "username_env", "password_env", "tls", "timeout_secs"])
        require("host", table, "host = \"smtp.example.com\"")
        require("from", table, "from = \"orders@example.com\"")
        let host = text("host", table)
        if let host, !Self.isHost(host) {
            complain("\(table.path).host", "\(Self.quoted(host)) is no host's name or address; write smtp.example.com, and the port as port = 587")
        }
        let port = integer("port", table, 1...65_535) ?? 587
        let from = mailAddress("from", table)
        let encryption: MailServerSettings.Encryption = choice("tls", table) ?? .startTLS
        let seconds = integer("timeout_secs", table, 1...600) ?? 30
        let credentials = credentials(table)
        if encryption == .none, credentials != nil {
            note("\(table.path).tls", "is none: the password goes to the mail server in the open. Write tls = \"start_tls\".")
        }
        guard mistakes.count == mistakeCount, let host, let from else { return nil }
        return MailServerSettings(
            host: host, port: port, from: from, credentials: credentials, encryption: encryption, timeout: .seconds(seconds))
    }

    private mutating func credentials(_ table: Table) -> MailServerSettings.Credentials? {
        for (key, other) in [("username_env", "password_env"), ("password_env", "username_env")]
        where !isAbsent(key, table) && isAbsent(other, table) {
            complain("\(table.path).\(other)", "is missing beside \(key); write both, or none for a server that asks for nothing")
        }
        let username = variable("username_env", table)
        let password = variable("password_env", table)
        guard let username, let password else { return nil }
        return MailServerSettings.Credentials(username: username.value, password: password)
    }

    private static func isHost(_ host: String) -> Bool {
        guard !host.isEmpty, host.utf8.count <= 255 else { return false }
        // An IPv6 address has two colons or more; one stands before a port.
        if host.split(separator: ":", omittingEmptySubsequences: false).count > 2 {
            return host.utf8.allSatisfy { Character(Unicode.Scalar($0)).isHexDigit || ":.".utf8.contains($0) }
        }
        return host.utf8.allSatisfy { EntityNaming.isPlain($0) || $0 == UInt8(ascii: ".") }
    }
}
