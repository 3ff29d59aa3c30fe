import History
import PostgresReplication

/// What a publication publishes at one moment, table by table.
package struct PublicationContents: Sendable, Equatable {
    struct Table: Sendable, Equatable {
        var oid: String
        /// Schema and name, as SQL writes them.
        var name: String
        /// Its rows are published, under this name.
        var isPublished: Bool
        /// Partitioned, and no partition of another one here.
        var isRoot: Bool
        /// Of what rows are written to; nil: a partitioned table, whose partitions count.
        var identity: TableIdentity?

        /// What gives it a replica identity, if one statement does.
        var identityStatement: String? {
            identity?.remedy.map { "ALTER TABLE \(name) REPLICA IDENTITY \($0)" }
        }

        /// Why UPDATE and DELETE of it fail; nil: they work.
        var unidentified: Finding.Unidentified? {
            let fault: Finding.Unidentified.Fault
            switch identity {
            case .usable, nil: return nil
            case .missing: fault = .missing
            case .generated: fault = .generated
            case .uncovered: fault = .uncovered
            }
            return Finding.Unidentified(name: name, fault: fault, statement: identityStatement)
        }
    }

    var isForAllTables: Bool
    /// It publishes tables that are made later, all or those of a schema.
    var takesLaterTables: Bool
    /// `publish_via_partition_root`.
    var isByRoot: Bool
    /// It publishes UPDATE or DELETE, and so demands a replica identity.
    var hasOldRows: Bool
    /// By name; partitioned tables and their partitions too, whichever of them is published.
    var tables: [Table]

    /// The names under which rows are published.
    var publishedNames: [String] { tables.filter(\.isPublished).map(\.name) }
    /// Tables of which the application's UPDATE and DELETE fail.
    var unidentified: [Table] { hasOldRows ? Self.unidentified(tables) : [] }
    /// Partitioned tables whose rows are published under the names of their partitions.
    var byPartition: [Table] { isByRoot ? [] : tables.filter(\.isRoot) }

    /// Whether nothing is published though `source.tables` says otherwise.
    func isEmptyByMistake(_ source: StreamerConfiguration.Source) -> Bool {
        !takesLaterTables && publishedNames.isEmpty && !source.tables.isEmpty
    }

    static func unidentified(_ tables: [Table]) -> [Table] {
        tables.filter { $0.identity != nil && $0.identity != .usable }
    }

    /// Reads it from the catalogue's tables, from above: where few of many tables are published, the others cost nothing.
    ///
    /// - Returns: nil: there is no such publication.
    static func read(
        _ publication: String, over sql: borrowing SQLConnection, timeout: Duration? = nil
    ) throws(PostgresError) -> PublicationContents? {
        let rows = try sql.query(
            """
            WITH RECURSIVE \(PublishedTables.reached(publication: "$1")),
            described AS (
                \(description(serverVersion: sql.serverVersion, isPublished: "c.oid IN (SELECT oid FROM published)")))
            SELECT q.puballtables,
                q.puballtables OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s WHERE s.pnpubid = q.oid),
                q.pubviaroot, q.pubupdate OR q.pubdelete, d.*
            FROM pg_catalog.pg_publication q LEFT JOIN described d ON true WHERE q.pubname = $1 ORDER BY d.name
            """, [publication], timeout: timeout)
        guard let first = rows.first, first.count == 10 else { return nil }
        return PublicationContents(
            isForAllTables: first[0] == "t", takesLaterTables: first[1] == "t", isByRoot: first[2] == "t",
            hasOldRows: first[3] == "t", tables: rows.compactMap { table($0.dropFirst(4)) })
    }

    /// What is another text after each change of the catalogue that `read` can show, and cheap to ask: PostgreSQL's own counts of what was written to its tables. They
    /// are told some seconds after the change at most, never before it.
    ///
    /// - Returns: nil: PostgreSQL does not count (`track_counts`).
    static func changeMark(over sql: borrowing SQLConnection, timeout: Duration) throws(PostgresError) -> String? {
        let catalogues = [
            "pg_attribute", "pg_class", "pg_index", "pg_inherits", "pg_namespace", "pg_publication", "pg_publication_namespace",
            "pg_publication_rel",
        ].map { "'pg_catalog.\($0)'::pg_catalog.regclass" }
        let counts = ["inserted", "updated", "deleted"].map { "pg_catalog.pg_stat_get_tuples_\($0)(oid)" }
        let rows = try sql.query(
            """
            SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', \(counts.joined(separator: ", "))), ',' ORDER BY oid)
            FROM pg_catalog.unnest(ARRAY[\(catalogues.joined(separator: ", "))]::pg_catalog.oid[]) AS t (oid)
            WHERE pg_catalog.current_setting('track_counts') = 'on'
            """, timeout: timeout)
        return rows.first?.first.flatMap { $0 }
    }

    /// What `CREATE` or `ALTER PUBLICATION … TABLE` adds with these tables: their partitions and those that inherit from them come with them.
    ///
    /// - Parameter oids: Of `pg_class`; nil: every table.
    static func added(
        by oids: [String]?, to publication: String, over sql: borrowing SQLConnection
    ) throws(PostgresError) -> [Table] {
        let named = oids == nil ? PublishedTables.everyTable : "SELECT pg_catalog.unnest($2::pg_catalog.oid[])"
        let rows = try sql.query(
            """
            WITH RECURSIVE named (oid) AS (\(named)),
            reached (oid) AS (
                SELECT oid FROM named UNION SELECT i.inhrelid FROM reached x JOIN pg_catalog.pg_inherits i ON i.inhparent = x.oid)
            \(description(serverVersion: sql.serverVersion, isPublished: "false")) ORDER BY name
            """, [publication] + (oids.map { ["{\($0.joined(separator: ","))}"] } ?? []))
        return rows.compactMap { table($0[...]) }
    }

    /// A SELECT of what `table` reads, of the permanent tables among `reached (oid)`; `$1` is the publication's name.
    private static func description(serverVersion: Int, isPublished: String) -> String {
        let publishesGenerated =
            serverVersion >= 180_000
            ? "coalesce((SELECT pubgencols = 's' FROM pg_catalog.pg_publication WHERE pubname = $1), false)" : "false"
        return """
            SELECT c.oid, pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(c.relname)) AS name,
                \(isPublished), c.relkind = 'p' AND NOT EXISTS (
                    SELECT FROM pg_catalog.pg_inherits i JOIN reached x ON x.oid = i.inhparent WHERE i.inhrelid = c.oid),
                \(TableIdentity.columns(serverVersion: serverVersion, publication: "$1", publishesGenerated: publishesGenerated))
            FROM reached x JOIN pg_catalog.pg_class c ON c.oid = x.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.oid >= '16384'::pg_catalog.oid
            """
    }

    private static func table(_ row: ArraySlice<String?>) -> Table? {
        let row = Array(row)
        guard row.count == 6, let oid = row[0], let name = row[1] else { return nil }
        return Table(
            oid: oid, name: name, isPublished: row[2] == "t", isRoot: row[3] == "t",
            identity: TableIdentity(state: row[4], remedy: row[5]))
    }
}
