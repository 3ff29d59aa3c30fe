import History
import PostgresReplication
import PrivateServers
import Testing

@testable import Pipeline

@Suite struct PublicationPlanTests {
    private let server: PostgresServer

    init() throws {
        server = try PostgresServer()
        try server.sql().execute(
            """
            CREATE TABLE tb_order (n int PRIMARY KEY); CREATE TABLE tb_item (n int PRIMARY KEY); CREATE TABLE log (n int);
            CREATE VIEW v_order AS SELECT 1; CREATE UNLOGGED TABLE fleeting (n int);
            CREATE SCHEMA sales; CREATE TABLE sales.tb_sale (n int) PARTITION BY RANGE (n);
            CREATE TABLE sales.tb_sale_1 PARTITION OF sales.tb_sale FOR VALUES FROM (0) TO (9)
            """)
    }

    private func plan(_ tables: [String], _ publication: String? = nil) throws -> PublicationPlan {
        let sql = try server.sql()
        if let publication { try sql.execute("DROP PUBLICATION IF EXISTS p; CREATE PUBLICATION p \(publication)") }
        return try PublicationPlan.read(
            StreamerConfiguration.Source(
                connection: server.parameters, slot: "s", publication: "p", tables: tables, failover: false,
                walSenderTimeoutMilliseconds: nil), over: sql)
    }

    private func refusal(_ plan: PublicationPlan, allowsNoIdentity: Bool = false) throws -> (what: String, remedy: String)? {
        do throws(StreamerError) {
            try plan.requireMeant(allowsNoIdentity: allowsNoIdentity)
            return nil
        } catch {
            guard case .stop(.configuration, let what, let remedy) = error else { throw error }
            return (what, remedy)
        }
    }

    @Test func aPatternThatMatchesNothingIsRefusedWithWhatIsThere() throws {
        let mistyped = try plan(["public.tb_ordr"])
        #expect(mistyped.refusals.map(\.id) == ["E010"])
        #expect(
            try refusal(mistyped)?.what
                == #""public.tb_ordr" in source.tables matches no table. Database postgres has public.tb_order, public.tb_item, public.log, sales.tb_sale"#)
        let among = try plan(["public.tb_*", "sale.*", "sales.tb_sail"])
        #expect(among.refusals.map(\.id) == ["E011"])
        #expect(try refusal(among)?.what.hasPrefix(#""sale.*", "sales.tb_sail" in source.tables match no table. Database postgres has sales.tb_sale"#) == true)
        // What --allow-no-identity allows is something else.
        #expect(try refusal(among, allowsNoIdentity: true) != nil)
    }

    @Test(arguments: [
        ("public.v_order", "public.v_order is a view, which is never published."),
        ("public.fleeting", "public.fleeting is an unlogged table, which is never published."),
        ("sales.tb_sale_1", "sales.tb_sale_1 is a partition of sales.tb_sale: name that table instead."),
    ])
    func whatIsNoTableIsToldByWhatItIs(_ pattern: String, _ said: String) throws {
        #expect(try refusal(plan([pattern]))?.what.contains(said) == true)
        // Where it is published by itself it is what was meant.
        if pattern == "sales.tb_sale_1" { #expect(try refusal(plan([pattern], "FOR TABLE sales.tb_sale_1")) == nil) }
    }

    @Test func aDatabaseWithoutTablesIsProbablyTheWrongOne() throws {
        let sql = try server.sql()
        try sql.execute("DROP SCHEMA sales CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        let empty = try refusal(plan(["public.tb_*"]))
        #expect(empty?.what == #""public.tb_*" in source.tables matches no table. Database postgres has no table"#)
        #expect(empty?.remedy == "Create the tables first, or correct the database in source.url")
        // Tables that come later are published too.
        #expect(try refusal(plan(["*"])) == nil)
    }

    @Test func whatNobodySetIsNoMistakeBesideAPublicationOfTheOperatorsOwn() throws {
        try server.sql().execute("ALTER TABLE tb_order RENAME TO order_1; ALTER TABLE tb_item RENAME TO item")
        let own = try plan(StreamerConfiguration.Source.defaultTables, "FOR TABLE item")
        #expect(try refusal(own) == nil)
        #expect(own.notes == ["source.tables is not set, and its default, public.tb_*, matches no table: the publication stays unchanged"])
        #expect(try refusal(plan(StreamerConfiguration.Source.defaultTables, "")) != nil)
        #expect(try refusal(plan(["public.tb_x*"], "FOR TABLE item")) != nil)
        // All is published whatever the pattern says.
        #expect(try refusal(plan(["public.tb_x*"], "FOR ALL TABLES")) == nil)
    }

    @Test func noTableOnPurposeIsTold() throws {
        let none = try plan([])
        #expect(try refusal(none) == nil)
        #expect(none.statements == [#"CREATE PUBLICATION "p""#])
        #expect(none.notes.count == 1 && none.notes[0].contains("adds no table"))
    }

    @Test func aTableWithoutIdentityIsRefusedUntilItIsAllowedAndItsStatementIsInTheScript() throws {
        let plan = try plan(["public.tb_order", "public.log"])
        let refused = try #require(try refusal(plan))
        #expect(refused.what == "public.log has no replica identity. As soon as it is published, UPDATE and DELETE of it fail in the application")
        #expect(
            refused.remedy
                == "Run as the table's owner: ALTER TABLE public.log REPLICA IDENTITY FULL. Or publish it as it is: `slotstream setup --allow-no-identity`")
        #expect(try refusal(plan, allowsNoIdentity: true) == nil)
        #expect(plan.allNotes == ["public.log has no replica identity. UPDATE and DELETE of it fail in the application. Run as the table's owner: ALTER TABLE public.log REPLICA IDENTITY FULL"])
        let create = #"CREATE PUBLICATION "p" FOR TABLE public.tb_order, public.log"#
        #expect(try plan.script(allowsNoIdentity: true) == [create])
        let script = try plan.script(allowsNoIdentity: false)
        #expect(script.count == 2 && script[1] == create)
        #expect(script[0].hasPrefix("-- ") && script[0].hasSuffix("\nALTER TABLE public.log REPLICA IDENTITY FULL"))
    }

    @Test func whatIsPublishedAlreadyIsToldAndWhatPublishesOnlyInsertsIsNot() throws {
        let already = try plan(["public.*"], "FOR TABLE log")
        #expect(already.statements == [#"ALTER PUBLICATION "p" ADD TABLE public.tb_item, public.tb_order"#])
        #expect(try refusal(already) == nil)
        #expect(already.allNotes.contains { $0.hasPrefix("public.log has no replica identity") })
        #expect(try already.script(allowsNoIdentity: false).count == 2)
        let inserts = try plan(["public.*"], "FOR TABLE tb_order WITH (publish = 'insert')")
        #expect(try refusal(inserts) == nil)
        #expect(inserts.statements == [#"ALTER PUBLICATION "p" ADD TABLE public.log, public.tb_item"#])
        #expect(inserts.allNotes == [])
    }

    @Test func whatInheritsFromATableComesWithIt() throws {
        try server.sql().execute("CREATE TABLE tb_child () INHERITS (tb_order)")
        #expect(try refusal(plan(["public.tb_order"]))?.what.hasPrefix("public.tb_child has no replica identity") == true)
    }

    @Test func partitionedTablesArePublishedByTheirRootAndTold() throws {
        let made = try plan(["sales.*"])
        #expect(made.statements == [#"CREATE PUBLICATION "p" FOR TABLE sales.tb_sale WITH (publish_via_partition_root = true)"#])
        #expect(made.notes == ["sales.tb_sale is partitioned: the events have this name, not the partitions' (publish_via_partition_root)"])
        // The partition's own identity counts.
        #expect(made.unidentified.map(\.name) == ["sales.tb_sale_1"])
        #expect(try plan(["public.tb_*"]).statements == [#"CREATE PUBLICATION "p" FOR TABLE public.tb_item, public.tb_order"#])
        #expect(try plan(["*"]).statements == [#"CREATE PUBLICATION "p" FOR ALL TABLES WITH (publish_via_partition_root = true)"#])
        let told = #"publication p publishes sales.tb_sale by partition: the events have the partitions' names. For the name of the partitioned table run as the publication's owner: ALTER PUBLICATION "p" SET (publish_via_partition_root = true)"#
        #expect(try plan(["sales.*"], "FOR TABLE tb_order").notes == [told])
        #expect(try plan(["sales.*"], "FOR TABLE sales.tb_sale").notes == [told])
        #expect(try plan(["sales.*"], "FOR ALL TABLES").notes == [told])
        #expect(try plan(["sales.*"], "FOR TABLE tb_order WITH (publish_via_partition_root)").notes == [])
        #expect(try plan(["sales.*"], "FOR TABLE sales.tb_sale WITH (publish_via_partition_root)").notes == [])
    }

    @Test func everyTableMeansThoseToComeToo() throws {
        let all = try plan(["*"])
        #expect(all.unidentified.map(\.name) == ["public.log", "sales.tb_sale_1"])
        #expect(all.notes.contains { $0.contains("made later") })
        #expect(try refusal(all)?.what == "2 tables (public.log, sales.tb_sale_1) have no replica identity. As soon as they are published, UPDATE and DELETE of them fail in the application")
    }
}
