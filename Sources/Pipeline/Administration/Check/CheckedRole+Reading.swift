import History
import PostgresReplication

extension CheckedRole {
    /// What role and database may carry that ends a session of ours before the session has set its own.
    private static let limitNames = [
        "transaction_timeout", "statement_timeout", "lock_timeout", "idle_session_timeout", "idle_in_transaction_session_timeout",
    ]

    /// Asks who we are, and what we may do to the tables of the publication.
    static func read(publication: String, over sql: borrowing SQLConnection) throws(PostgresError) -> CheckedRole {
        let rows = try sql.query(
            """
            SELECT r.rolname, d.datname, r.rolsuper,
                -- Members of the second have the right on Amazon, where no role has the attribute. Elsewhere the connection is refused, and that is told.
                r.rolsuper OR r.rolreplication OR EXISTS (
                    SELECT FROM pg_catalog.pg_roles g
                    WHERE g.rolname = 'rds_replication'::pg_catalog.name AND pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER')),
                pg_catalog.host(pg_catalog.inet_client_addr()),
                pg_catalog.current_setting('ssl'), pg_catalog.pg_encoding_to_char(d.encoding), r.oid = '10'::pg_catalog.oid
            FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
            WHERE r.rolname = session_user AND d.datname = pg_catalog.current_database()
            """)
        guard let row = rows.first, row.count == 8, let name = row[0], let database = row[1] else {
            throw .protocolViolation(message: "cannot read who the session's user is")
        }
        var role = CheckedRole(name: name, database: database)
        role.isSuperuser = row[2] == "t"
        role.isFirstSuperuser = row[7] == "t"
        role.mayReplicate = row[3] == "t"
        role.address = row[4]
        role.isServerWithTLS = row[5] == "on"
        role.encoding = row[6] ?? role.encoding
        role.limits = try limits(over: sql)
        role.openRules = try sql.allowed { sql throws(PostgresError) in try openRules(over: sql) } ?? []
        if !role.isSuperuser { role.privileges = try privileges(publication, over: sql) }
        return role
    }

    private static func limits(over sql: borrowing SQLConnection) throws(PostgresError) -> [Limit] {
        let rows = try sql.query(
            """
            SELECT pg_catalog.split_part(s.setting, '=', 1), pg_catalog.split_part(s.setting, '=', 2),
                CASE WHEN c.setdatabase = '0'::pg_catalog.oid THEN pg_catalog.format('ALTER ROLE %I RESET ', session_user)
                     WHEN c.setrole = '0'::pg_catalog.oid THEN pg_catalog.format('ALTER DATABASE %I RESET ', pg_catalog.current_database())
                     ELSE pg_catalog.format('ALTER ROLE %I IN DATABASE %I RESET ', session_user, pg_catalog.current_database()) END
            FROM pg_catalog.pg_db_role_setting c, pg_catalog.unnest(c.setconfig) AS s (setting)
            WHERE c.setrole IN ('0'::pg_catalog.oid, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user))
                AND c.setdatabase IN ('0'::pg_catalog.oid, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
                AND pg_catalog.split_part(s.setting, '=', 1) = ANY ($1::pg_catalog.text[])
            """, [CatalogueReader.arrayLiteral(limitNames)])
        return rows.compactMap { row in
            guard row.count == 3, let name = row[0], let value = row[1], let reset = row[2], let milliseconds = milliseconds(value) else {
                return nil
            }
            return Limit(name: name, milliseconds: milliseconds, statement: reset + name)
        }
    }

    /// As PostgreSQL keeps what somebody wrote: `50`, `50ms`, `1s`, `5min`.
    private static func milliseconds(_ text: String) -> Int? {
        let number = text.prefix { $0.isNumber }
        let units = ["": 1, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000]
        guard let amount = Int(number), let unit = units[text.dropFirst(number.count).filter { $0 != " " }] else { return nil }
        return amount * unit
    }

    private static func openRules(over sql: borrowing SQLConnection) throws(PostgresError) -> [OpenRule] {
        let file = sql.serverVersion >= 160_000 ? "file_name" : "pg_catalog.current_setting('hba_file')"
        let rows = try sql.query(
            """
            SELECT \(file), line_number FROM pg_catalog.pg_hba_file_rules
            WHERE error IS NULL AND type LIKE 'host%' AND auth_method <> 'reject'
                AND (address = 'all' OR address IN ('0.0.0.0', '::') AND netmask IN ('0.0.0.0', '::'))
                AND user_name && ARRAY['all', session_user::pg_catalog.text]
                AND database && ARRAY['all', pg_catalog.current_database()::pg_catalog.text]
            ORDER BY line_number
            """)
        return rows.compactMap { row in
            guard row.count == 2, let file = row[0], let line = row[1].flatMap({ Int($0) }) else { return nil }
            return OpenRule(file: file, line: line)
        }
    }

    private static func privileges(_ publication: String, over sql: borrowing SQLConnection) throws(PostgresError) -> [Privilege] {
        let rows = try sql.query(
            """
            WITH RECURSIVE \(PublishedTables.parts(candidates: PublishedTables.everyTable, publication: "$1")),
            granted AS (
                SELECT pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(c.relname)) AS name, c.relowner,
                    a.grantee, pg_catalog.string_agg(DISTINCT a.privilege_type, ', ' ORDER BY a.privilege_type) AS privileges
                FROM published t JOIN pg_catalog.pg_class c ON c.oid = t.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))) a
                WHERE a.privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')
                    AND (a.grantee = '0'::pg_catalog.oid OR pg_catalog.pg_has_role(session_user, a.grantee, 'USAGE'))
                GROUP BY 1, 2, 3)
            SELECT g.name, g.privileges,
                CASE WHEN g.grantee = '0'::pg_catalog.oid THEN pg_catalog.format('REVOKE %s ON %s FROM PUBLIC', g.privileges, g.name)
                     WHEN g.grantee <> r.oid THEN
                        pg_catalog.format('REVOKE %I FROM %I', pg_catalog.pg_get_userbyid(g.grantee), session_user)
                     WHEN g.grantee <> g.relowner THEN pg_catalog.format('REVOKE %s ON %s FROM %I', g.privileges, g.name, session_user) END
            FROM granted g JOIN pg_catalog.pg_roles r ON r.rolname = session_user ORDER BY 1, 3
            """, [publication])
        return rows.compactMap { row in
            guard row.count == 3, let table = row[0], let names = row[1] else { return nil }
            return Privilege(table: table, names: names, statement: row[2])
        }
    }
}
