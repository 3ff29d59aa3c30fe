import PostgresReplication
import PrivateServers
import Testing

@testable import Pipeline

/// Against `pg_publication_tables`, which says the same and locks what it says it of.
@Suite struct PublishedTablesTests {
    private static let publications = [
        "FOR ALL TABLES", "FOR ALL TABLES WITH (publish_via_partition_root)",
        "FOR TABLE plain, public.root", "FOR TABLE plain, public.root WITH (publish_via_partition_root)",
        "FOR TABLE middle", "FOR TABLE middle WITH (publish_via_partition_root)",
        "FOR TABLE root, leaf_a, middle WITH (publish_via_partition_root)", "FOR TABLE root, leaf_a, middle",
        "FOR TABLES IN SCHEMA aside", "FOR TABLES IN SCHEMA aside WITH (publish_via_partition_root)",
        "FOR TABLES IN SCHEMA public", "FOR TABLES IN SCHEMA public WITH (publish_via_partition_root)",
        "FOR TABLE leaf_a, TABLES IN SCHEMA aside WITH (publish_via_partition_root)", "FOR TABLE ONLY parent", "FOR TABLE parent", "",
    ]

    @Test func saysWhatPgPublicationTablesSays() throws {
        let server = try PostgresServer()
        let sql = try server.sql()
        try sql.execute(
            """
            CREATE SCHEMA aside; CREATE TABLE plain (n int); CREATE UNLOGGED TABLE fleeting (n int); CREATE VIEW seen AS SELECT 1;
            CREATE TABLE parent (n int); CREATE TABLE child () INHERITS (parent);
            CREATE TABLE root (n int) PARTITION BY RANGE (n); CREATE TABLE leaf_a PARTITION OF root FOR VALUES FROM (0) TO (9);
            CREATE TABLE middle PARTITION OF root FOR VALUES FROM (10) TO (99) PARTITION BY RANGE (n);
            CREATE TABLE leaf_b PARTITION OF middle FOR VALUES FROM (10) TO (19);
            CREATE TABLE aside.leaf_c PARTITION OF middle FOR VALUES FROM (20) TO (29);
            CREATE TABLE aside.apart (n int) PARTITION BY RANGE (n); CREATE TABLE apart_leaf PARTITION OF aside.apart FOR VALUES FROM (0) TO (9);
            """)
        for (number, publication) in Self.publications.enumerated() {
            let name = "p\(number)"
            try sql.execute("CREATE PUBLICATION \(name) \(publication)")
            let found = try sql.query(
                """
                WITH RECURSIVE \(PublishedTables.parts(candidates: PublishedTables.everyTable, publication: "$1"))
                SELECT n.nspname || '.' || c.relname FROM published t
                JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 1
                """, [name])
            let said = try sql.query(
                "SELECT schemaname || '.' || tablename FROM pg_publication_tables WHERE pubname = $1 ORDER BY 1", [name])
            #expect(found == said, "\(publication)")
        }
    }
}
