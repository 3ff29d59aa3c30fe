import Capture
import History
import PGOutput
import PostgresReplication
import PrivateServers
import Testing
import WAL

@testable import Pipeline

/// How a table's rows are read, against PostgreSQL itself.
@Suite struct TableReadingTests {
    private static let statements = """
        CREATE TYPE mood AS ENUM ('sad', 'ok');
        CREATE TABLE tb_plain (n int PRIMARY KEY, m int); CREATE TABLE tb_text (b text, a int, c mood, PRIMARY KEY (a, b));
        CREATE TABLE tb_listed (n int PRIMARY KEY, hidden text, m int, twice int GENERATED ALWAYS AS (m * 2) STORED);
        CREATE TABLE tb_full (n int NOT NULL UNIQUE, t text); ALTER TABLE tb_full REPLICA IDENTITY FULL;
        CREATE TABLE tb_bare (n int, t text); ALTER TABLE tb_bare REPLICA IDENTITY FULL;
        CREATE TABLE tb_index (n int NOT NULL, t text NOT NULL, z int PRIMARY KEY); CREATE UNIQUE INDEX i ON tb_index (t);
        ALTER TABLE tb_index REPLICA IDENTITY USING INDEX i;
        CREATE TABLE tb_deferred (n int PRIMARY KEY DEFERRABLE); CREATE TABLE "odd; Name" ("the ""key"" x" text PRIMARY KEY, v text);
        CREATE TABLE tb_part (n int PRIMARY KEY, t text) PARTITION BY RANGE (n); CREATE TABLE part_a PARTITION OF tb_part FOR VALUES FROM (0) TO (100);
        CREATE TABLE tb_insert (n int PRIMARY KEY);
        CREATE PUBLICATION p FOR TABLE tb_plain, tb_text WHERE (a > 1), tb_listed (n, m), tb_full, tb_bare, tb_index, tb_deferred, "odd; Name", tb_part
            WITH (publish_via_partition_root);
        CREATE PUBLICATION inserts FOR TABLE tb_insert WITH (publish = 'insert');
        """

    private static func prepared() throws -> PostgresServer {
        let server = try PostgresServer()
        try server.sql().execute(statements)
        return server
    }

    private static func connected(_ server: PostgresServer) throws -> SQLConnection {
        let sql = try server.sql()
        try TableReading.prepare(over: sql)
        return sql
    }

    private static func table(_ name: String, published: String? = nil, _ sql: borrowing SQLConnection) throws -> BackfillProgress.Table {
        func oid(_ name: String) throws -> UInt32 {
            let found = try sql.query("SELECT \(quoteLiteral(quoteIdentifier(name)))::regclass::oid").first?.first.flatMap { $0.flatMap { UInt32($0) } }
            return try #require(found)
        }
        return BackfillProgress.Table(
            oid: try oid(name), name: "public.\(name)", published: "public.\(published ?? name)", publishedOid: try oid(published ?? name))
    }

    private static func reading(
        _ name: String, published: String? = nil, condition: String? = nil, publication: String = "p", _ sql: borrowing SQLConnection
    ) throws -> TableReading? {
        try TableReading.read(table(name, published: published, sql), condition: condition, publication: publication, over: sql)
    }

    /// ctid and values, a text for each row.
    private static func rows(_ statement: String, _ sql: borrowing SQLConnection) throws -> [String] {
        try sql.query(statement).map { $0.map { $0 ?? "NULL" }.joined(separator: " ") }
    }

    private static func key(_ texts: String...) -> RowKey {
        var key = RowKey()
        for text in texts { Array(text.utf8).withUnsafeBytes { key.append($0) } }
        return key
    }

    @Test func keysAndColumnsAreThoseOfTheEvents() throws {
        let server = try Self.prepared()
        let sql = try Self.connected(server)
        for (name, columns, key) in [
            ("tb_plain", ["n", "m"], ["n"]), ("tb_text", ["b", "a", "c"], ["b", "a"]), ("tb_listed", ["n", "m"], ["n"]), ("tb_full", ["n", "t"], ["n"]),
            ("tb_bare", ["n", "t"], []), ("tb_index", ["n", "t", "z"], ["t"]),
            // A key that may be doubled within a transaction tells no rows apart.
            ("tb_deferred", ["n"], []), ("odd; Name", ["the \"key\" x", "v"], ["the \"key\" x"]),
        ] {
            let reading = try #require(try Self.reading(name, sql), "\(name)")
            #expect(reading.columnNames == columns && reading.keyColumns == key && reading.hasUnsentColumns == !key.isEmpty, "\(name)")
            #expect(reading.keyIndices == key.compactMap { columns.firstIndex(of: $0) } && !reading.hasOtherIdentity, "\(name)")
            #expect(try TableReading.fingerprint(Self.table(name, sql), publication: "p", over: sql) == reading.fingerprint)
        }
        #expect(try Self.reading("tb_insert", publication: "inserts", sql) == nil)
        let gone = BackfillProgress.Table(oid: 1, name: "public.gone", published: "public.gone", publishedOid: 1)
        #expect(try TableReading.read(gone, condition: nil, publication: "p", over: sql) == nil)
        #expect(try TableReading.fingerprint(gone, publication: "p", over: sql) == "")
    }

    @Test func aPartitionIsReadByItselfAndNamedAsItsRoot() throws {
        let server = try Self.prepared()
        let sql = try Self.connected(server)
        try sql.execute("INSERT INTO tb_part VALUES (1, 'x')")
        let reading = try #require(try Self.reading("part_a", published: "tb_part", sql))
        #expect(reading.relation.name == "tb_part" && reading.keyColumns == ["n"] && !reading.hasOtherIdentity)
        #expect(try Self.rows(reading.wholeStatement, sql) == ["(0,1) 1 x"] && Self.rows(reading.keyStatement([Self.key("1")]), sql) == ["(0,1) 1 x"])
        // A row that is read again may be in another partition by now.
        try sql.execute("CREATE TABLE part_b PARTITION OF tb_part FOR VALUES FROM (100) TO (200); UPDATE tb_part SET n = 101")
        #expect(try Self.rows(reading.wholeStatement, sql) == [] && Self.rows(reading.keyStatement([Self.key("101")]), sql) == ["(0,1) 101 x"])
        try sql.execute("ALTER TABLE part_a ALTER t SET NOT NULL; CREATE UNIQUE INDEX u ON part_a (t); ALTER TABLE part_a REPLICA IDENTITY USING INDEX u")
        #expect(try Self.reading("part_a", published: "tb_part", sql)?.hasOtherIdentity == true)
    }

    // MARK: - Statements

    @Test func theWalkComesToEachRowOnceHoweverItIsCut() throws {
        let server = try Self.prepared()
        let sql = try Self.connected(server)
        try sql.execute("INSERT INTO tb_plain SELECT i, -i FROM generate_series(1, 700) i; DELETE FROM tb_plain WHERE n % 7 = 0")
        let reading = try #require(try Self.reading("tb_plain", sql))
        let all = try Self.rows("SELECT ctid, n, m FROM tb_plain ORDER BY ctid", sql)
        let blocks = UInt64(reading.heapByteCount / 8_192)
        #expect(all.count == 600 && blocks == 4)
        for limit in [1, 7, 150, 10_000] {
            var found: [String] = []
            var cursor = ReadRows.TupleID(block: 0, offset: 0)
            while UInt64(cursor.block) < blocks {
                let end = UInt64(cursor.block) + 1
                let rows = try Self.rows(reading.walkStatement(behind: cursor, before: end, limit: limit), sql)
                found += rows
                cursor =
                    rows.count < limit
                    ? ReadRows.TupleID(block: UInt32(end), offset: 0) : rows.last.flatMap { ReadRows.TupleID($0.prefix { $0 != " " }) } ?? cursor
                if limit == 1, found.count > 20 { break }
            }
            #expect(limit == 1 ? found == Array(all.prefix(found.count)) : found == all, "\(limit)")
        }
        // Where there can be no later block.
        let last = reading.walkStatement(behind: ReadRows.TupleID(block: 0, offset: 0), before: .max, limit: 10_000)
        #expect(try Self.rows(last, sql).count == 600)
    }

    @Test func onlyRowsOfTheFilterAndTheConditionAreRead() throws {
        let server = try Self.prepared()
        let sql = try Self.connected(server)
        try sql.execute("INSERT INTO tb_text VALUES ('x', 1, 'ok'), ('y', 2, 'ok'), ('z', 3, 'sad'), ('w', 4, NULL)")
        // Neither a comment nor an OR of the condition reaches beyond it.
        let reading = try #require(try Self.reading("tb_text", condition: "c = 'ok' OR c IS NULL --", sql))
        let start = ReadRows.TupleID(block: 0, offset: 0)
        for statement in [
            reading.wholeStatement, reading.walkStatement(behind: start, before: 1, limit: 9),
            reading.keyStatement([Self.key("x", "1"), Self.key("y", "2"), Self.key("z", "3"), Self.key("w", "4")]),
        ] {
            #expect(try Self.rows(statement, sql) == ["(0,2) y 2 ok", "(0,4) w 4 NULL"], "\(statement)")
        }
    }

    @Test func rowsAreFoundByTheirKeysWhateverIsInThem() throws {
        let server = try Self.prepared()
        let sql = try Self.connected(server)
        let texts = ["", "'", "''; DROP TABLE tb_plain --", "\\", "\\'", "$$", "ä\n\t", "NULL", "(a,b)", "%s", "\u{1}"]
        for text in texts { _ = try sql.query("INSERT INTO \"odd; Name\" VALUES ($1, 'v')", [text]) }
        let reading = try #require(try Self.reading("odd; Name", sql))
        let found = try sql.query(reading.keyStatement((texts + ["nobody"]).map { Self.key($0) })).map { $0[1] ?? "NULL" }
        #expect(Set(found) == Set(texts) && found.count == texts.count)
        for text in texts { #expect(try sql.query(reading.keyStatement([Self.key(text)])).map { $0[1] } == [text], "\(text)") }
    }

    @Test func itsLocksAreTaken() throws {
        let server = try Self.prepared()
        let sql = try Self.connected(server)
        let reading = try #require(try Self.reading("odd; Name", sql))
        try sql.execute("BEGIN; \(reading.lockStatement); \(reading.lockPublishedStatement)")
        let held = try sql.query("SELECT mode FROM pg_locks WHERE relation = '\"odd; Name\"'::regclass")
        #expect(held == [["AccessShareLock"]])
        try sql.execute("COMMIT")
    }

    // MARK: - What changes

    @Test func aFingerprintTellsWhateverChangesWhatRowsLookLike() throws {
        let server = try Self.prepared()
        let sql = try Self.connected(server)
        func fingerprint() throws -> String { try TableReading.fingerprint(Self.table("tb_text", sql), publication: "p", over: sql) }
        var last = try fingerprint()
        for statement in [
            "INSERT INTO tb_text VALUES ('x', 5, 'ok')", "ANALYZE tb_text", "CREATE INDEX ON tb_text (c)", "GRANT SELECT ON tb_text TO PUBLIC", "VACUUM tb_text",
            "ALTER TABLE tb_plain ADD x int",
        ] {
            try sql.execute(statement)
            #expect(try fingerprint() == last, "\(statement)")
        }
        for statement in [
            "ALTER TABLE tb_text ADD d int", "ALTER TABLE tb_text ADD e int DEFAULT 7", "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",
            "ALTER TYPE mood ADD VALUE 'new'", "ALTER TABLE tb_text RENAME d TO dd", "ALTER TABLE tb_text DROP dd", "ALTER TABLE tb_text REPLICA IDENTITY FULL",
            "ALTER PUBLICATION p SET TABLE tb_text WHERE (a > 2)", "ALTER PUBLICATION p SET TABLE tb_text (a, b)", "ALTER TABLE tb_text ALTER e TYPE bigint",
        ] {
            try sql.execute(statement)
            let next = try fingerprint()
            #expect(next != last && !next.isEmpty, "\(statement)")
            last = next
        }
    }

    @Test func aChunksQuestionTellsSnapshotPlaceFileAndServer() throws {
        let server = try Self.prepared()
        let sql = try Self.connected(server)
        try sql.execute("INSERT INTO tb_plain SELECT i, i FROM generate_series(1, 700) i")
        let table = try Self.table("tb_plain", sql)
        let row = try #require(try sql.query(TableReading.chunkQuery(table)).first)
        try #require(row.count == 5)
        let lsn = try #require(row[1].flatMap { LSN($0) })
        #expect(row[0].flatMap { TransactionSnapshot($0, lsn: lsn) } != nil && row[3] == "4")
        #expect(try row[4] == ServerMark.read(over: sql).text)
        try sql.execute("VACUUM FULL tb_plain")
        let after = try #require(try sql.query(TableReading.chunkQuery(table)).first)
        #expect(after[2] != row[2] && after[4] == row[4])
    }
}

/// Who may have written to a table and is not shown to everybody.
@Suite struct TableHolderTests {
    @Test func whoeverHasWrittenIsNamedUntilThatIsShown() throws {
        let server = try PostgresServer()
        let sql = try server.sql()
        try sql.execute("CREATE TABLE tb_a (n int); CREATE TABLE tb_b (n int); INSERT INTO tb_a VALUES (1)")
        let oids = try sql.query("SELECT 'tb_a'::regclass::oid, 'tb_b'::regclass::oid")[0].compactMap { $0.flatMap { UInt32($0) } }
        func holders() throws -> [TableHolder] { try TableHolder.read(of: [oids[0]], over: sql) }
        let writer = try server.sql(), reader = try server.sql(), other = try server.sql()
        try reader.execute("BEGIN; SELECT * FROM tb_a")
        try other.execute("BEGIN; INSERT INTO tb_b VALUES (1)")
        #expect(try holders() == [])
        try writer.execute("BEGIN; INSERT INTO tb_a VALUES (2)")
        let pid = try writer.query("SELECT pg_backend_pid()")[0][0] ?? ""
        let held = try holders()
        #expect(held.count == 1 && held[0].text.hasPrefix("pid \(pid) (postgres), since 20"), "\(held)")
        #expect(try TableHolder.read(of: oids, over: sql).count == 2)
        // It is the same one for as long as it lasts, whatever else it does; the next is another.
        try writer.execute("INSERT INTO tb_a VALUES (3); LOCK TABLE tb_a IN SHARE ROW EXCLUSIVE MODE")
        #expect(try holders().map(\.id) == held.map(\.id))
        try writer.execute("COMMIT")
        #expect(try holders() == [])
        try writer.execute("BEGIN; UPDATE tb_a SET n = 4")
        #expect(try holders().map(\.id) != held.map(\.id))
        try reader.execute("COMMIT")
        for statement in ["ROLLBACK; BEGIN; DELETE FROM tb_a", "ROLLBACK; BEGIN; TRUNCATE tb_a", "ROLLBACK; BEGIN; ALTER TABLE tb_a ADD m int"] {
            try writer.execute(statement)
            #expect(try holders().count == 1, "\(statement)")
        }
        try writer.execute("ROLLBACK")
        #expect(try holders() == [])
    }
}
