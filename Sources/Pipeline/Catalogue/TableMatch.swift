import Capture
import PostgresReplication

/// A table that a pattern of `source.tables` means: permanent, and no partition, since partitions come with their root.
struct TableMatch {
    var oid: String
    /// Schema and name, as SQL writes them.
    var name: String
    var isPartitioned: Bool

    /// Tables that are looked at for one that was perhaps meant.
    private static let nearLimit = 1000

    private static let isPublishable = "c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition"
    private static let isUsers = "n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
    private static let plainName = "pg_catalog.concat(n.nspname, '.', c.relname)"
    private static let quotedName = "pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(c.relname))"
    private static let relations = "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"

    /// Those whose `schema.table` matches, by name.
    static func tables(
        matching pattern: String, over sql: borrowing SQLConnection
    ) throws(PostgresError) -> [TableMatch] {
        let rows = try sql.query(
            """
            SELECT c.oid, \(quotedName), c.relkind = 'p' FROM \(relations)
            WHERE \(isPublishable) AND \(isUsers) AND \(plainName) LIKE $1 ORDER BY n.nspname, c.relname
            """, [PublicationSetup.likePattern(pattern)])
        return rows.compactMap { row in
            guard row.count == 3, let oid = row[0], let name = row[1] else { return nil }
            return TableMatch(oid: oid, name: name, isPartitioned: row[2] == "t")
        }
    }

    /// Whether one of these relations matches: a partition may be published by itself.
    static func isAny(
        of oids: Set<String>, matching pattern: String, over sql: borrowing SQLConnection
    ) throws(PostgresError) -> Bool {
        guard !oids.isEmpty else { return false }
        let rows = try sql.query(
            "SELECT FROM \(relations) WHERE c.oid = ANY ($1::pg_catalog.oid[]) AND \(plainName) LIKE $2 LIMIT 1",
            ["{\(oids.joined(separator: ","))}", PublicationSetup.likePattern(pattern)])
        return !rows.isEmpty
    }

    /// The tables that there are, those first whose names are nearest to one of the patterns.
    static func near(_ patterns: [String], over sql: borrowing SQLConnection) throws(PostgresError) -> [String] {
        let schemas = patterns.map { String($0.prefix { $0 != "." }) }
        let rows = try sql.query(
            """
            SELECT \(plainName), \(quotedName) FROM \(relations) WHERE \(isPublishable) AND \(isUsers)
            ORDER BY n.nspname OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.name[]) DESC, n.nspname, c.relname LIMIT \(nearLimit)
            """, [CatalogueReader.arrayLiteral(schemas)])
        let tables = rows.compactMap { row -> (distance: Int, name: String)? in
            guard row.count == 2, let plain = row[0], let quoted = row[1] else { return nil }
            return (patterns.map { NearestName.distance($0, plain) }.min() ?? 0, quoted)
        }
        return tables.sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }.map(\.name)
    }

    /// What matches and is no such table: what it is instead, for people.
    static func others(
        matching patterns: [String], over sql: borrowing SQLConnection
    ) throws(PostgresError) -> [(name: String, kind: String)] {
        let rows = try sql.query(
            """
            SELECT \(quotedName), CASE
                WHEN c.relkind = 'v' THEN 'a view, which is never published' WHEN c.relkind = 'm' THEN 'a materialized view, which is never published'
                WHEN c.relkind = 'f' THEN 'a foreign table, which is never published'
                WHEN c.relpersistence = 'u' THEN 'an unlogged table, which is never published'
                ELSE pg_catalog.concat('a partition of ', (
                    SELECT pg_catalog.concat(pg_catalog.quote_ident(m.nspname), '.', pg_catalog.quote_ident(r.relname))
                    FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class r ON r.oid = i.inhparent
                    JOIN pg_catalog.pg_namespace m ON m.oid = r.relnamespace WHERE i.inhrelid = c.oid), ': name that table instead') END
            FROM \(relations) WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' AND NOT (\(isPublishable))
                AND \(isUsers) AND \(plainName) LIKE ANY ($1::pg_catalog.text[])
            ORDER BY n.nspname, c.relname LIMIT 3
            """, [CatalogueReader.arrayLiteral(patterns.map(PublicationSetup.likePattern))])
        return rows.compactMap { row in
            guard row.count == 2, let name = row[0], let kind = row[1] else { return nil }
            return (name, kind)
        }
    }
}
