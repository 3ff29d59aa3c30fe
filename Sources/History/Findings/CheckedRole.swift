import PostgresReplication

/// Who the streamer is to PostgreSQL, and how it gets there, for `check`.
package struct CheckedRole: Sendable {
    /// A time limit that the role or the database carries.
    package struct Limit: Sendable {
        package var name: String
        package var milliseconds: Int
        /// What takes it away.
        package var statement: String

        package init(name: String, milliseconds: Int, statement: String) {
            self.name = name
            self.milliseconds = milliseconds
            self.statement = statement
        }
    }

    /// A line of `pg_hba.conf` that admits the role from every address.
    package struct OpenRule: Sendable {
        package var file: String
        package var line: Int

        package init(file: String, line: Int) {
            self.file = file
            self.line = line
        }
    }

    /// What the role may do to a published table.
    package struct Privilege: Sendable {
        package var table: String
        /// `INSERT, UPDATE`
        package var names: String
        /// What takes it away; nil: the role owns the table.
        package var statement: String?

        package init(table: String, names: String, statement: String?) {
            self.table = table
            self.names = names
            self.statement = statement
        }
    }

    package var name: String
    package var database: String
    package var isSuperuser = false
    /// The superuser that the cluster was made with: he cannot lose that.
    package var isFirstSuperuser = false
    package var mayReplicate = true
    package var limits: [Limit] = []
    package var openRules: [OpenRule] = []
    package var privileges: [Privilege] = []
    /// Where this program connects from; nil: over a Unix socket.
    package var address: String?
    package var isServerWithTLS = false
    package var encoding = "UTF8"
    /// What the connection lacks; nil: it is safe.
    package var exposure: String?

    package init(name: String, database: String) {
        self.name = name
        self.database = database
    }

    /// What is wrong with role and connection.
    package var findings: [Finding] {
        var findings: [Finding] = []
        if !mayReplicate {
            findings.append(
                Finding(
                    .noReplicationRight, "role \(name)", "role \(name) has no REPLICATION", why: "the streamer cannot read the slot",
                    paste: .sql("ALTER ROLE \(quoteIdentifier(name)) REPLICATION")))
        }
        findings += limits.filter { $0.milliseconds > 0 && $0.milliseconds < Self.shortestLimit }.map { limit in
            Finding(
                .timeLimit, "role \(name)", "\(limit.name) is \(limit.milliseconds) ms for role \(name)",
                why: "PostgreSQL can end the streamer's connection before the streamer has lifted the limit", paste: .sql(limit.statement, isByHand: limit.statement.hasPrefix("ALTER DATABASE")))
        }
        findings += openRules.map(openToEveryAddress)
        if let exposure {
            findings.append(.connectionOpenToOthers("PostgreSQL", exposure: exposure, fix: Finding.verifiesPostgres))
        }
        if isSuperuser {
            findings.append(
                Finding(
                    .roleTooStrong, "role \(name)", "role \(name) is a superuser", why: "a leaked password can change everything",
                    fix: isFirstSuperuser ? "Make a role of its own, and name that role in source.url: psql -d \(database) -f sql/role.sql" : nil,
                    paste: isFirstSuperuser ? nil : .sql("ALTER ROLE \(quoteIdentifier(name)) NOSUPERUSER", isByHand: true)))
        } else {
            findings += privileges.map(tooStrong)
        }
        if ["SQL_ASCII", "MULE_INTERNAL"].contains(encoding) { findings.append(unconvertible) }
        return findings
    }

    /// A limit below it may end a connection while its first statement runs.
    private static let shortestLimit = 100

    private func openToEveryAddress(_ rule: OpenRule) -> Finding {
        let line = "\(isServerWithTLS ? "hostssl" : "host")  \(database)  \(name)  \(peer)  scram-sha-256"
        return Finding(
            .openToEveryAddress, "\(rule.file), line \(rule.line)",
            "line \(rule.line) of \(rule.file) admits role \(name) from every address", why: "the role can read every change of the cluster",
            fix: "In place of line \(rule.line) of \(rule.file): \(line)  # then: SELECT pg_reload_conf()")
    }

    private var peer: String {
        guard let address else { return "127.0.0.1/32" }
        return address.contains(":") ? "\(address)/128" : "\(address)/32"
    }

    private func tooStrong(_ privilege: Privilege) -> Finding {
        Finding(
            .roleTooStrong, privilege.table, "role \(name) may write the published table \(privilege.table) (\(privilege.names))",
            why: "a leaked password can change the data",
            fix: privilege.statement == nil ? "Give the table another owner" : nil, paste: privilege.statement.map { .sql($0, isByHand: $0.hasSuffix(" PUBLIC")) })
    }

    private var unconvertible: Finding {
        Finding(
            .encodingUnconvertible, "database \(database)", "database \(database) has the encoding \(encoding), which PostgreSQL does not convert",
            why: "a text that is no UTF-8 stops the streamer",
            paste: .command("createdb -T template0 -E UTF8 \(database)_utf8 && pg_dump \(database) | psql -q \(database)_utf8"))
    }
}
