import Capture
import History
import JetStreamPublishing
import PostgresReplication
import PrivateServers
import Testing

@testable import Pipeline

@Suite struct BackfillTablesTests {
    private static let statements = """
        CREATE TABLE tb_order (n int PRIMARY KEY, v text); CREATE TABLE tb_empty (n int PRIMARY KEY);
        CREATE TABLE tb_bare (n int); CREATE TABLE tb_whole (n int); ALTER TABLE tb_whole REPLICA IDENTITY FULL;
        CREATE TABLE tb_deferred (n int PRIMARY KEY DEFERRABLE, v text);
        CREATE TABLE tb_full_key (n int NOT NULL UNIQUE); ALTER TABLE tb_full_key REPLICA IDENTITY FULL;
        CREATE TABLE "odd; Name" (n int PRIMARY KEY);
        CREATE UNLOGGED TABLE tb_fleeting (n int PRIMARY KEY); CREATE VIEW tb_view AS SELECT 1 AS n;
        CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing;
        CREATE FOREIGN TABLE tb_foreign (n int) SERVER elsewhere;
        CREATE TABLE parent (n int PRIMARY KEY); CREATE TABLE child (PRIMARY KEY (n)) INHERITS (parent);
        CREATE TABLE tb_part (n int PRIMARY KEY) PARTITION BY RANGE (n); CREATE TABLE part_a PARTITION OF tb_part FOR VALUES FROM (0) TO (9);
        CREATE TABLE middle PARTITION OF tb_part FOR VALUES FROM (10) TO (99) PARTITION BY RANGE (n);
        CREATE TABLE part_b PARTITION OF middle FOR VALUES FROM (10) TO (19);
        CREATE TABLE tb_cold (n int) PARTITION BY RANGE (n); CREATE TABLE cold_a PARTITION OF tb_cold FOR VALUES FROM (0) TO (9);
        CREATE FOREIGN TABLE cold_b PARTITION OF tb_cold FOR VALUES FROM (10) TO (19) SERVER elsewhere;
        CREATE TABLE tb_hollow (n int) PARTITION BY RANGE (n);
        CREATE TABLE tb_hidden (n int PRIMARY KEY); ALTER TABLE tb_hidden ENABLE ROW LEVEL SECURITY;
        CREATE TABLE tb_columns (n int PRIMARY KEY, v text);
        CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
        REVOKE SELECT ON tb_columns, part_b, tb_whole FROM reader; GRANT SELECT (n) ON tb_columns TO reader;
        """

    private static func configuration(_ server: PostgresServer, exclusions: [String] = []) -> StreamerConfiguration {
        StreamerConfiguration(
            source: .init(
                connection: server.parameters, slot: "s", publication: "p", tables: [], failover: false, walSenderTimeoutMilliseconds: nil),
            nats: JetStreamConnectionOptions(urls: ["nats://127.0.0.1:1"]),
            stream: StreamConfiguration(name: "S", subjectPrefix: "m", duplicateWindow: .seconds(120)), consumer: nil,
            capture: CaptureConfiguration(exclusions: exclusions), captureFunctions: CaptureFunctions(hmacSHA256: nil) { _, _ in false },
            delivery: .init(
                inFlightMessages: 1, inFlightBytes: 1, ackTimeout: .seconds(1), checkpointInterval: .seconds(1)),
            readyMaxLagBytes: 0)
    }

    private static func prepared(_ publication: String = "FOR ALL TABLES WITH (publish_via_partition_root)") throws -> PostgresServer {
        let server = try PostgresServer()
        let sql = try server.sql()
        try sql.execute(statements)
        try sql.execute("CREATE PUBLICATION p \(publication)")
        return server
    }

    private func read(
        _ patterns: [String], _ server: PostgresServer, exclusions: [String] = [], as user: String = "postgres"
    ) throws -> (candidates: [BackfillCandidate], unmatched: [String]) {
        let sql = try SQLConnection(ConnectionParameters(conninfo: server.conninfo(user: user)), isReadOnly: true)
        return try BackfillTables.read(patterns: patterns, Self.configuration(server, exclusions: exclusions), over: sql)
    }

    private func refusals(_ candidates: [BackfillCandidate]) -> [String: String] {
        Dictionary(uniqueKeysWithValues: candidates.compactMap { candidate in candidate.refusal.map { (candidate.table.name, $0) } })
    }

    @Test func aPatternMeansPublishedTablesAndNothingElse() throws {
        let server = try Self.prepared()
        let found = try read(["public.tb_*", "nowhere.*"], server, exclusions: ["public.tb_empty"])
        #expect(
            found.candidates.map { "\($0.table.published) \($0.table.name)" } == [
                "public.tb_bare public.tb_bare", "public.tb_cold public.cold_a", "public.tb_cold public.cold_b",
                "public.tb_columns public.tb_columns", "public.tb_deferred public.tb_deferred", "public.tb_full_key public.tb_full_key",
                "public.tb_hidden public.tb_hidden", "public.tb_order public.tb_order", "public.tb_part public.part_a",
                "public.tb_part public.part_b", "public.tb_whole public.tb_whole",
            ])
        #expect(found.unmatched == ["nowhere.*"])
        #expect(refusals(found.candidates).keys.sorted() == ["public.cold_a", "public.cold_b"])
    }

    @Test func aNameIsAnsweredWhateverHasIt() throws {
        let server = try Self.prepared()
        let names = [
            "tb_view", "tb_fleeting", "tb_foreign", "tb_empty", "tb_hollow", "parent", "odd; Name", "part_b", "middle",
        ].map { "public.\($0)" }
        let found = try read(names + ["public.tb_nothing"], server, exclusions: ["public.tb_empty"])
        #expect(found.unmatched == ["public.tb_nothing"])
        #expect(
            found.candidates.map(\.table.name).sorted() == [
                "public.odd; Name", "public.parent", "public.part_b", "public.tb_empty", "public.tb_fleeting", "public.tb_foreign", "public.tb_view",
            ])
        let odd = try #require(found.candidates.first { $0.table.name == "public.odd; Name" })
        #expect(odd.sqlName == "public.\"odd; Name\"" && odd.publishedSQLName == odd.sqlName && odd.refusal == nil)
        let refusals = refusals(found.candidates)
        #expect(refusals.count == 4)
        #expect(refusals["public.tb_view"] == "public.tb_view is a view, which is never published: name its tables")
        #expect(refusals["public.tb_fleeting"] == "public.tb_fleeting is unlogged, so its changes are never published: ALTER TABLE public.tb_fleeting SET LOGGED")
        #expect(refusals["public.tb_foreign"]?.hasPrefix("public.tb_foreign is a foreign table") == true)
        #expect(refusals["public.tb_empty"]?.hasPrefix("events.exclude leaves out INSERT and UPDATE of public.tb_empty") == true)
    }

    @Test func whatIsNotPublishedIsToldWithTheStatement() throws {
        let server = try Self.prepared("FOR TABLE parent WITH (publish = 'insert, delete')")
        let found = try read(["public.parent", "public.tb_order", "public.tb_*"], server)
        #expect(found.unmatched == ["public.tb_*"])
        let refusals = refusals(found.candidates)
        // A table that inherits from a published one is published as its own.
        #expect(refusals.keys.sorted() == ["public.parent", "public.tb_order"])
        #expect(try read(["public.chil?"], server).candidates.map(\.table.published) == ["public.child"])
        #expect(refusals["public.tb_order"] == "public.tb_order is not published by publication p: ALTER PUBLICATION p ADD TABLE public.tb_order")
        #expect(refusals["public.parent"]?.hasPrefix("publication p does not publish UPDATE, so") == true)
        let sql = try server.sql()
        try sql.execute("DROP PUBLICATION p")
        #expect(throws: StreamerError.self) { try read(["public.tb_order"], server) }
    }

    @Test func aPartitionHasTheNameThatItsEventsHave() throws {
        let server = try Self.prepared("FOR TABLE tb_part")
        let byPartition = try read(["public.tb_part"], server).candidates
        #expect(byPartition.map(\.table.published) == ["public.part_a", "public.part_b"])
        #expect(byPartition.allSatisfy { $0.table.publishedOid == $0.table.oid })
        let sql = try server.sql()
        try sql.execute("ALTER PUBLICATION p SET (publish_via_partition_root = true)")
        let byRoot = try read(["public.middle"], server).candidates
        #expect(byRoot.map(\.table.name) == ["public.part_b"] && byRoot.map(\.publishedSQLName) == ["public.tb_part"])
        try sql.execute("ALTER PUBLICATION p SET TABLE middle")
        #expect(try read(["public.*"], server).candidates.map(\.table.published) == ["public.middle"])
    }

    @Test func whoMayNotReadAllRowsIsToldWhatToGrant() throws {
        let server = try Self.prepared()
        let found = try read(["public.tb_*"], server, as: "reader")
        let refusals = refusals(found.candidates)
        let grants = ["tb_columns", "part_b", "tb_whole"]
        for name in grants {
            #expect(refusals["public.\(name)"]?.hasSuffix(": GRANT SELECT ON public.\(name) TO reader") == true, "\(refusals)")
        }
        #expect(refusals["public.tb_hidden"] == "row security of public.tb_hidden hides rows from reader: ALTER ROLE reader BYPASSRLS")
        #expect(refusals["public.tb_order"] == nil && refusals["public.part_a"] == nil)
        let sql = try server.sql()
        for refusal in refusals.values {
            let statements = refusal.split(separator: ": ", maxSplits: 1)[1]
            if statements.hasPrefix("GRANT") || statements.hasPrefix("ALTER ROLE") { try sql.execute(String(statements)) }
        }
        let after = self.refusals(try read(["public.tb_*"], server, as: "reader").candidates)
        #expect(after.keys.sorted() == ["public.cold_a", "public.cold_b"])
        try sql.execute("REVOKE USAGE ON SCHEMA public FROM PUBLIC; REVOKE SELECT ON tb_part FROM reader")
        #expect(
            self.refusals(try read(["public.part_a"], server, as: "reader").candidates)["public.part_a"]?
                .hasSuffix("GRANT USAGE ON SCHEMA public TO reader; GRANT SELECT ON public.tb_part TO reader") == true)
    }

    @Test func aTableWithoutAKeyIsReadWhileItIsSmall() throws {
        let server = try Self.prepared()
        let sql = try server.sql()
        for table in ["tb_bare", "tb_whole", "tb_full_key"] { try sql.execute("INSERT INTO \(table) SELECT generate_series(1, 300000)") }
        try sql.execute("INSERT INTO tb_deferred SELECT n, repeat('x', 60) FROM generate_series(1, 100000) n; ANALYZE tb_bare")
        let found = try read(["public.tb_*"], server).candidates
        let refusals = refusals(found)
        #expect(refusals.keys.sorted() == ["public.cold_a", "public.cold_b", "public.tb_bare", "public.tb_deferred", "public.tb_whole"])
        #expect(refusals["public.tb_bare"]?.contains("public.tb_bare has no key by which its rows are told apart, and 10.4 MiB are more than the 8.0 MiB") == true)
        #expect(refusals["public.cold_a"]?.contains("is one of several partitions of public.tb_cold") == true)
        let bare = try #require(found.first { $0.table.name == "public.tb_bare" })
        #expect((290_000...310_000).contains(bare.estimatedRows), "\(bare)")
        // Never analysed.
        let deferred = try #require(found.first { $0.table.name == "public.tb_deferred" })
        #expect((50_000...250_000).contains(deferred.estimatedRows), "\(deferred)")
    }
}
