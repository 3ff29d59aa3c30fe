import Foundation
import Testing
import WAL

@testable import Capture

/// INSERT, UPDATE, DELETE and TRUNCATE under every replica identity, as PostgreSQL sends them.
@Suite struct RowStateTests {
    /// 40,000 bytes that do not compress: kept out of line.
    private static let toast = "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1250) i)"

    @Test func defaultIdentity() throws {
        let captured = try CapturedChanges(
            setup: "CREATE TABLE tb_order (pk_order int PRIMARY KEY, id text UNIQUE NOT NULL, status text, note text);",
            changes: """
                INSERT INTO tb_order VALUES (1, 'a', 'pending', NULL) RETURNING hexjson(tb_order);
                UPDATE tb_order SET status = 'paid', note = '' RETURNING hexjson(tb_order);
                UPDATE tb_order SET pk_order = 2 RETURNING hexjson(tb_order);
                DELETE FROM tb_order;
                """)
        let events = try captured.events()
        try #require(events.count == 4)
        for event in events { _ = try JSONSerialization.jsonObject(with: Data(event.payload)) }
        #expect(
            events.map(\.subject) == ["INSERT", "UPDATE", "UPDATE", "DELETE"].map { "fraiseql.mutation.Order.\($0)" })
        for (event, row) in zip(events, captured.rows) {
            #expect(try event.value("entity") == row)
            #expect(try event.value("entity_id") == #""a""#)
            #expect(try event.value("unchanged") == nil)
        }
        // Without a changed key PostgreSQL sends nothing of the old row.
        #expect(try events[1].value("before") == nil && events[1].value("changes") == nil)
        #expect(try events[2].value("before") == #"{"pk_order":1}"#)
        #expect(try events[2].value("changes") == #"{"pk_order":{"old":1,"new":2}}"#)
        // The primary key is all that a DELETE carries: `id` is not known (pitfall 47).
        #expect(try events[3].value("entity") == #"{"pk_order":2}"#)
        #expect(try events[3].value("entity_id") == nil && events[3].value("before") == nil)
        #expect(try events[3].value("source") == #"{"database":"shop","schema":"public","table":"tb_order"}"#)
    }

    @Test func identityUsingAnIndex() throws {
        let captured = try CapturedChanges(
            setup: """
                CREATE TABLE tb_x (pk int PRIMARY KEY, a text NOT NULL, b int NOT NULL, c text);
                CREATE UNIQUE INDEX ab ON tb_x (b, a); ALTER TABLE tb_x REPLICA IDENTITY USING INDEX ab;
                """,
            changes: """
                INSERT INTO tb_x VALUES (1, 'a', 2, 'c'); UPDATE tb_x SET c = NULL; UPDATE tb_x SET b = 3; DELETE FROM tb_x;
                """)
        let events = try captured.events()
        try #require(events.count == 4)
        #expect(try events.map { try $0.value("entity_id") } == [#""1""#, #""1""#, #""1""#, nil])
        #expect(try events[1].value("before") == nil)
        #expect(try events[2].value("before") == #"{"a":"a","b":2}"#)
        #expect(try events[2].value("changes") == #"{"b":{"old":2,"new":3}}"#)
        #expect(try events[3].value("entity") == #"{"a":"a","b":3}"#)
        // Without a primary key the index's columns are the identity, in column order.
        var withoutKey = captured.catalogue
        withoutKey.tables = [:]
        let ids = try Outcome(of: captured.messages, catalogue: withoutKey).events.map { try $0.value("entity_id") }
        #expect(ids == [#""a,2""#, #""a,2""#, #""a,3""#, #""a,3""#])
    }

    @Test func identityFull() throws {
        let captured = try CapturedChanges(
            setup:
                "CREATE TABLE tb_x (pk int PRIMARY KEY, a text, b text, big text); ALTER TABLE tb_x REPLICA IDENTITY FULL;",
            changes: """
                INSERT INTO tb_x VALUES (1, 'a', NULL, \(Self.toast)) RETURNING hexjson(tb_x);
                UPDATE tb_x SET a = NULL, b = '' RETURNING hexjson(tb_x);
                UPDATE tb_x SET b = b RETURNING hexjson(tb_x);
                UPDATE tb_x SET pk = 2, big = 'small' RETURNING hexjson(tb_x);
                DELETE FROM tb_x;
                """)
        let events = try captured.events()
        try #require(events.count == 5)
        for (event, row) in zip(events, captured.rows) { #expect(try event.value("entity") == row) }
        // The untouched big value is taken from the old row, and not listed.
        for index in 1...3 {
            #expect(try events[index].value("before") == captured.rows[index - 1])
            #expect(try events[index].value("unchanged") == nil)
        }
        #expect(try events[1].value("changes") == #"{"a":{"old":"a","new":null},"b":{"old":null,"new":""}}"#)
        #expect(try events[2].value("changes") == "{}")
        #expect(try events[3].value("changes", "big", "new") == #""small""#)
        #expect(try events[3].value("changes", "b") == nil)
        #expect(try events[4].value("entity") == captured.rows[3])
        #expect(try events.map { try $0.value("entity_id") } == [#""1""#, #""1""#, #""1""#, #""2""#, #""2""#])
        // FULL makes every column a key: without a primary key there is no identity, never all columns.
        var withoutKey = captured.catalogue
        withoutKey.tables = [:]
        let ids = try Outcome(of: captured.messages, catalogue: withoutKey).events.map { try $0.value("entity_id") }
        #expect(ids == [nil, nil, nil, nil, nil])
    }

    @Test func identityNothing() throws {
        let captured = try CapturedChanges(
            setup: "CREATE TABLE tb_x (pk int PRIMARY KEY, a text); ALTER TABLE tb_x REPLICA IDENTITY NOTHING;",
            changes: "INSERT INTO tb_x VALUES (1, 'a'); TRUNCATE tb_x;", publication: "FOR ALL TABLES")
        let events = try captured.events()
        #expect(try events.map { try $0.value("entity_id") } == [#""1""#, nil])
    }

    @Test func untouchedToastIsListedAndNeverNull() throws {
        let captured = try CapturedChanges(
            setup: #"CREATE TABLE tb_x (id int PRIMARY KEY, "big ""one""" text, a int, bigs text[]);"#,
            changes: """
                INSERT INTO tb_x VALUES (1, \(Self.toast), 1, ARRAY[\(Self.toast)]);
                UPDATE tb_x SET a = 2; UPDATE tb_x SET id = 2; UPDATE tb_x SET bigs = NULL;
                """)
        let events = try captured.events()
        try #require(events.count == 4)
        #expect(try events[0].value("unchanged") == nil)
        #expect(try events[1].value("entity") == #"{"id":1,"a":2}"#)
        #expect(try events[1].value("unchanged") == #"["big \"one\"","bigs"]"#)
        #expect(try events[2].value("entity") == #"{"id":2,"a":2}"#)
        #expect(try events[2].value("changes") == #"{"id":{"old":1,"new":2}}"#)
        #expect(try events[3].value("entity") == #"{"id":2,"a":2,"bigs":null}"#)
        #expect(try events[3].value("unchanged") == #"["big \"one\""]"#)
    }

    @Test func toastedKeysAreSentWithTheRow() throws {
        let captured = try CapturedChanges(
            setup: """
                CREATE TABLE tb_x (k text NOT NULL, a int); ALTER TABLE tb_x ALTER k SET STORAGE EXTERNAL;
                CREATE UNIQUE INDEX k ON tb_x (k); ALTER TABLE tb_x REPLICA IDENTITY USING INDEX k;
                """,
            changes:
                "INSERT INTO tb_x VALUES (repeat('x', 2500), 1); UPDATE tb_x SET a = 2 RETURNING hexjson(tb_x); DELETE FROM tb_x;"
        )
        let events = try captured.events()
        try #require(events.count == 3)
        #expect(try events[1].value("entity") == captured.rows[0])
        #expect(try events[1].value("entity_id") == events[0].value("entity_id"))
    }

    @Test func truncateNamesEveryTableAndItsOptions() throws {
        let captured = try CapturedChanges(
            setup: """
                CREATE TABLE tb_a (id int PRIMARY KEY); CREATE TABLE tb_b (id serial PRIMARY KEY, a int REFERENCES tb_a);
                CREATE TABLE tb_c (id int PRIMARY KEY);
                """,
            changes: """
                TRUNCATE tb_c; TRUNCATE tb_b, tb_c RESTART IDENTITY; TRUNCATE tb_a CASCADE;
                BEGIN; INSERT INTO tb_c VALUES (1); TRUNCATE tb_a, tb_c CASCADE; INSERT INTO tb_c VALUES (2); COMMIT;
                """)
        let events = try captured.events()
        #expect(
            events.map(\.subject).map { $0.dropFirst("fraiseql.mutation.".count) } == [
                "C.TRUNCATE", "B.TRUNCATE", "C.TRUNCATE", "A.TRUNCATE", "B.TRUNCATE", "C.INSERT", "A.TRUNCATE",
                "C.TRUNCATE",
                "B.TRUNCATE", "C.INSERT",
            ])
        try #require(events.count == 10)
        for event in events where event.subject.hasSuffix("TRUNCATE") {
            #expect(try event.value("entity") == nil && event.value("entity_id") == nil && event.value("before") == nil)
        }
        #expect(try events[0].value("truncate") == #"{"cascade":false,"restart_identity":false}"#)
        #expect(try events[1].value("truncate") == #"{"cascade":false,"restart_identity":true}"#)
        #expect(try events[3].value("truncate") == #"{"cascade":true,"restart_identity":false}"#)
        // Each table has an ordinal of its own.
        #expect(events.map(\.header.position.ordinal) == [1, 1, 2, 1, 2, 1, 2, 3, 4, 5])
        #expect(
            try events.map { try $0.value("transaction", "last") } == [
                "true", "false", "true", "false", "true", "false", "false", "false", "false", "true",
            ])
    }

    @Test func publishedColumnsOnly() throws {
        let captured = try CapturedChanges(
            setup:
                "CREATE TABLE tb_x (id int PRIMARY KEY, secret text, a int, dropped int); ALTER TABLE tb_x DROP dropped;",
            changes: "INSERT INTO tb_x VALUES (1, 's', 2); UPDATE tb_x SET secret = 't';",
            publication: "FOR TABLE tb_x (id, a)")
        #expect(try captured.events().map { try $0.value("entity") } == [#"{"id":1,"a":2}"#, #"{"id":1,"a":2}"#])
    }

    @Test func relationsChangeInMidStream() throws {
        let captured = try CapturedChanges(
            setup: "CREATE TABLE tb_x (id int PRIMARY KEY, a int); ALTER TABLE tb_x REPLICA IDENTITY FULL;",
            changes: """
                INSERT INTO tb_x VALUES (1, 1) RETURNING hexjson(tb_x);
                BEGIN; ALTER TABLE tb_x ADD b text DEFAULT 'd'; INSERT INTO tb_x VALUES (2, 2) RETURNING hexjson(tb_x);
                ALTER TABLE tb_x DROP a; ALTER TABLE tb_x RENAME b TO c; INSERT INTO tb_x VALUES (3, 'x') RETURNING hexjson(tb_x); COMMIT;
                ALTER TABLE tb_x ALTER c DROP DEFAULT, ALTER c TYPE json USING to_json(c); INSERT INTO tb_x VALUES (4, '[ 1 ]') RETURNING hexjson(tb_x);
                ALTER TABLE tb_x RENAME TO tb_y; CREATE SCHEMA s; ALTER TABLE tb_y SET SCHEMA s; INSERT INTO s.tb_y VALUES (5, '{}') RETURNING hexjson(tb_y);
                """)
        let events = try captured.events()
        try #require(events.count == captured.rows.count)
        for (event, row) in zip(events, captured.rows) { #expect(try event.value("entity") == row) }
        #expect(try events.last?.value("source", "schema") == #""s""#)
        #expect(events.last?.subject == "fraiseql.mutation.Y.INSERT")
    }

    @Test func whatAPartitionDidNotLogIsNotKnownUnderItsRoot() throws {
        // The root's identity says how an old row is marked; the partition's says what is in it.
        let setup = """
            CREATE TABLE tb_p (id int, a text, big text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
            CREATE TABLE tb_p1 PARTITION OF tb_p FOR VALUES FROM (0) TO (10);
            ALTER TABLE tb_p REPLICA IDENTITY FULL;
            """
        let changes = """
            INSERT INTO tb_p VALUES (1, 'x', \(Self.toast)); UPDATE tb_p SET id = 2; DELETE FROM tb_p;
            """
        let root = "FOR ALL TABLES WITH (publish_via_partition_root = true)"
        var captured = try CapturedChanges(setup: setup, changes: changes, publication: root)
        for id in captured.catalogue.tables.keys {
            captured.catalogue.tables[id]?.hasPartitionWithoutFullIdentity = true
        }
        let events = try captured.events()
        try #require(events.count == 3)
        #expect(try events[1].value("entity") == #"{"id":2,"a":"x"}"# && events[1].value("unchanged") == #"["big"]"#)
        #expect(try events[1].value("before") == #"{"id":1}"#)
        #expect(try events[1].value("changes") == #"{"id":{"old":1,"new":2}}"#)
        #expect(try events[2].value("entity") == #"{"id":2}"# && events[2].value("entity_id") == #""2""#)
        // With FULL on the partition too, a null is one.
        let whole = try CapturedChanges(
            setup: setup + "ALTER TABLE tb_p1 REPLICA IDENTITY FULL;",
            changes: "INSERT INTO tb_p VALUES (1, NULL, 'b'); DELETE FROM tb_p;", publication: root)
        #expect(try whole.events().last?.value("entity") == #"{"id":1,"a":null,"big":"b"}"#)
    }

    @Test func aKeyThatThePartitionDidNotLogIsAbsent() throws {
        let events = try CapturedChanges(
            setup: """
                CREATE TABLE tb_p (pk int, id int NOT NULL, PRIMARY KEY (pk)) PARTITION BY RANGE (pk);
                CREATE UNIQUE INDEX by_id ON tb_p (pk, id);
                CREATE TABLE tb_p1 PARTITION OF tb_p FOR VALUES FROM (0) TO (10);
                ALTER TABLE tb_p REPLICA IDENTITY USING INDEX by_id;
                """,
            changes: "INSERT INTO tb_p VALUES (1, 7); DELETE FROM tb_p;",
            publication: "FOR ALL TABLES WITH (publish_via_partition_root = true)"
        ).events()
        try #require(events.count == 2)
        #expect(try events[1].value("entity") == #"{"pk":1}"# && events[1].value("entity_id") == nil)
    }

    @Test func partitionsUnderTheirRoot() throws {
        let setup = """
            CREATE TABLE tb_p (id int, a text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
            CREATE TABLE tb_p1 (a text, gone int, id int NOT NULL); ALTER TABLE tb_p1 DROP gone;
            ALTER TABLE tb_p ATTACH PARTITION tb_p1 FOR VALUES FROM (0) TO (10);
            CREATE TABLE tb_p2 PARTITION OF tb_p FOR VALUES FROM (10) TO (20);
            """
        let changes = """
            INSERT INTO tb_p VALUES (1, 'x'), (11, 'y'); UPDATE tb_p SET id = 12 WHERE id = 1; DELETE FROM tb_p; TRUNCATE tb_p;
            """
        let root = try CapturedChanges(
            setup: setup, changes: changes, publication: "FOR ALL TABLES WITH (publish_via_partition_root = true)")
        let events = try root.events()
        #expect(Set(try events.map { try $0.value("source", "table") }) == [#""tb_p""#])
        #expect(try events[0].value("entity") == #"{"id":1,"a":"x"}"#)
        let leaves = try CapturedChanges(setup: setup, changes: changes).events()
        #expect(try leaves[0].value("entity") == #"{"a":"x","id":1}"#)
        #expect(try leaves.map { try $0.value("source", "table") }.prefix(2) == [#""tb_p1""#, #""tb_p2""#])
    }
}
