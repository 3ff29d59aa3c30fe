import PostgresReplication
import PrivateServers
import Testing

@testable import Pipeline

/// Against PostgreSQL itself: whether it takes an UPDATE of the published table.
@Suite struct TableIdentityTests {
    private static let tables = [
        "CREATE TABLE with_key (n int PRIMARY KEY)", "CREATE TABLE bare (n int)",
        "CREATE TABLE nothing (n int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING",
        "CREATE TABLE whole (n int); ALTER TABLE whole REPLICA IDENTITY FULL",
        "CREATE TABLE by_index (n int NOT NULL UNIQUE); ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_n_key",
        "CREATE TABLE index_gone (n int NOT NULL UNIQUE); ALTER TABLE index_gone REPLICA IDENTITY USING INDEX index_gone_n_key; "
            + "ALTER TABLE index_gone DROP CONSTRAINT index_gone_n_key",
        "CREATE TABLE only_unique (n int NOT NULL, m int, UNIQUE (n))", "CREATE TABLE null_unique (n int UNIQUE)",
        "CREATE TABLE deferrable_key (n int PRIMARY KEY DEFERRABLE)",
        "CREATE TABLE partial (n int NOT NULL); CREATE UNIQUE INDEX ON partial (n) WHERE n > 0",
        "CREATE TABLE computed (n int NOT NULL); CREATE UNIQUE INDEX ON computed ((n + 1))",
        "CREATE TABLE included (n int, m int NOT NULL); CREATE UNIQUE INDEX ON included (m) INCLUDE (n)",
        "CREATE TABLE \"odd\"\"; name\" (n int); ", "CREATE TABLE empty ()",
        "CREATE TABLE root (n int, PRIMARY KEY (n)) PARTITION BY RANGE (n); CREATE TABLE part PARTITION OF root FOR VALUES FROM (0) TO (9)",
        "CREATE TABLE bare_root (n int) PARTITION BY RANGE (n); ALTER TABLE bare_root REPLICA IDENTITY FULL; "
            + "CREATE TABLE bare_part PARTITION OF bare_root FOR VALUES FROM (0) TO (9)",
    ]

    private func takesUpdates(_ table: String, _ sql: borrowing SQLConnection) throws -> Bool {
        do throws(PostgresError) {
            try sql.execute("DELETE FROM \(table)")
            return true
        } catch {
            guard case .server(let code, _, _, _, _, _) = error, ["55000", "42P10"].contains(code) else { throw error }
            return false
        }
    }

    @Test func isUsableExactlyWherePostgreSQLTakesADeleteAndItsRemedyMendsIt() throws {
        let server = try PostgresServer()
        let sql = try server.sql()
        for statement in Self.tables { try sql.execute(statement) }
        try sql.execute("CREATE PUBLICATION p FOR ALL TABLES")
        let contents = try #require(try PublicationContents.read("p", over: sql))
        let written = contents.tables.filter { $0.identity != nil }
        #expect(written.count == Self.tables.count)
        for table in written {
            #expect(try takesUpdates(table.name, sql) == (table.identity == .usable), "\(table.name)")
        }
        let missing = contents.unidentified
        #expect(missing.count == 12, "\(missing.map(\.name))")
        for table in missing { try sql.execute(try #require(table.identityStatement)) }
        for table in missing { #expect(try takesUpdates(table.name, sql), "\(table.name)") }
        #expect(try PublicationContents.read("p", over: sql)?.unidentified == [])
        // The cheapest way to tell a row: a key, else an index, else the whole row.
        let remedies = Dictionary(uniqueKeysWithValues: missing.map { ($0.name, $0.identity?.remedy) })
        #expect(remedies["public.nothing"] == "DEFAULT")
        #expect(remedies["public.only_unique"] == "USING INDEX only_unique_n_key")
        #expect(remedies["public.included"] == "USING INDEX included_m_n_idx")
        for name in ["public.bare", "public.null_unique", "public.partial", "public.computed", "public.empty"] {
            #expect(remedies[name] == "FULL", "\(name)")
        }
    }

    private static let members = [
        "pair (a, b)", "pair (a, c)", "pair (c)", "whole (a)", "whole (a, b)", "pair WHERE (a > 0)", "pair WHERE (c > 0)", "pair WHERE (a > c)",
        "whole WHERE (c > 0)", "pair (a, b) WHERE (c > 0)", "pair (a, b) WHERE (b > 0)", "pair WHERE (1 > 0)",
    ]

    @Test func aColumnListOrAWhereMustGoWithIt() throws {
        let server = try PostgresServer()
        let sql = try server.sql()
        try sql.execute(
            """
            CREATE TABLE pair (a int, b int, c int, PRIMARY KEY (a, b)); CREATE TABLE whole (a int, b int, c int);
            ALTER TABLE whole REPLICA IDENTITY FULL; CREATE PUBLICATION p
            """)
        for member in Self.members {
            try sql.execute("ALTER PUBLICATION p SET TABLE \(member)")
            let table = try #require(try PublicationContents.read("p", over: sql)?.tables.first)
            #expect(table.identity == (try takesUpdates(table.name, sql) ? .usable : .uncovered), "\(member)")
        }
    }

    @Test func whatPublishesOnlyInsertsDemandsNone() throws {
        let server = try PostgresServer()
        let sql = try server.sql()
        try sql.execute("CREATE TABLE bare (n int); CREATE PUBLICATION p FOR TABLE bare WITH (publish = 'insert, truncate')")
        #expect(try takesUpdates("bare", sql))
        #expect(try PublicationContents.read("p", over: sql)?.unidentified == [])
        try sql.execute("ALTER PUBLICATION p SET (publish = 'insert, delete')")
        #expect(try PublicationContents.read("p", over: sql)?.unidentified.map(\.name) == ["public.bare"])
    }
}
