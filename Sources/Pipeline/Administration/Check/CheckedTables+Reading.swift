import Capture
import History
import PostgresReplication

extension CheckedTables {
    /// What no name of PostgreSQL's holds in practice.
    private static let separator: Character = "\u{1F}"
    private static let joined = "pg_catalog.chr(31)"
    private static let quotedName = "pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(c.relname))"

    /// Asks the catalogue what the publication publishes, and how.
    static func read(_ configuration: StreamerConfiguration, over sql: borrowing SQLConnection) throws(PostgresError) -> CheckedTables {
        let publication = configuration.source.publication
        var checked = CheckedTables(publication: publication, capture: configuration.capture)
        let flags = try sql.query(
            "SELECT pubinsert, pubupdate, pubdelete, pubtruncate FROM pg_catalog.pg_publication WHERE pubname = $1", [publication])
        if let row = flags.first {
            checked.operations = Set(zip(["insert", "update", "delete", "truncate"], row).filter { $0.1 == "t" }.map(\.0))
        }
        checked.tables = try tables(publication, over: sql)
        for pattern in configuration.source.tables {
            checked.unpublishable += try unpublishable(pattern, over: sql)
            checked.matches += try TableMatch.tables(matching: pattern, over: sql).map(\.name)
        }
        checked.triggers = try triggers(publication, over: sql)
        checked.casts = try casts(publication, named: configuration.casts.types, over: sql)
        checked.openEmitters = try sql.query(
            """
            SELECT p.oid::pg_catalog.regprocedure FROM pg_catalog.pg_proc p
            WHERE p.proname = 'pg_logical_emit_message' AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
                AND pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE') ORDER BY 1
            """).compactMap { $0.first.flatMap { $0 } }
        return checked
    }

    /// SQL: the columns of an index `i` of the table `c`, in order.
    private static func columns(ofIndex condition: String) -> String {
        """
        (SELECT pg_catalog.string_agg(a.attname, \(joined) ORDER BY k.place)
         FROM pg_catalog.pg_index i CROSS JOIN LATERAL pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
         WHERE i.indrelid = c.oid AND k.place <= i.indnkeyatts AND \(condition))
        """
    }

    private static func tables(_ publication: String, over sql: borrowing SQLConnection) throws(PostgresError) -> [Table] {
        let parts = PublishedTables.parts(candidates: PublishedTables.everyTable, publication: "$1")
        let rows = try sql.query(
            """
            WITH RECURSIVE \(parts)
            SELECT c.oid, \(quotedName), pg_catalog.concat(n.nspname, '.', c.relname), c.relname, c.relreplident,
                (SELECT pg_catalog.string_agg(a.attname, \(joined)) FROM pg_catalog.pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
                \(columns(ofIndex: "i.indisprimary")), \(columns(ofIndex: "i.indisreplident")),
                CASE WHEN c.reltuples >= 1 THEN (c.relpages + coalesce(x.relpages, 0))::pg_catalog.float8
                    * pg_catalog.current_setting('block_size')::pg_catalog.float8 / c.reltuples END,
                coalesce(r.prqual IS NOT NULL, false), coalesce(r.prattrs IS NOT NULL, false)
            FROM published t JOIN pg_catalog.pg_class c ON c.oid = t.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN pg_catalog.pg_class x ON x.oid = c.reltoastrelid
            LEFT JOIN pg_catalog.pg_publication_rel r ON r.prrelid = c.oid AND r.prpubid = (SELECT oid FROM publication)
            ORDER BY 2
            """, [publication])
        let indexes = try sql.query(
            """
            WITH RECURSIVE \(parts)
            SELECT c.oid, pg_catalog.quote_ident(x.relname), pg_catalog.string_agg(a.attname, \(joined) ORDER BY k.place)
            FROM published t JOIN pg_catalog.pg_class c ON c.oid = t.oid
            JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL
            JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
            CROSS JOIN LATERAL pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
            LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
            WHERE k.place <= i.indnkeyatts GROUP BY c.oid, x.relname, i.indnkeyatts
            HAVING bool_and((a.attnotnull AND a.attgenerated = '') IS TRUE) ORDER BY i.indnkeyatts, x.relname
            """, [publication])
        return rows.compactMap { row in
            guard row.count == 11, let oid = row[0], let name = row[1], let plain = row[2], let table = row[3],
                let identity = row[4]?.first
            else { return nil }
            var found = Table(name: name, plainName: plain, tableName: table, replicaIdentity: identity)
            found.columns = Set(names(row[5]))
            found.primaryKey = names(row[6])
            switch identity {
            case "f": found.identity = nil
            case "i": found.identity = Set(names(row[7]))
            case "d": found.identity = Set(found.primaryKey)
            default: found.identity = []
            }
            found.bytesPerRow = row[8].flatMap { Double($0) }
            found.hasRowFilter = row[9] == "t"
            found.hasColumnList = row[10] == "t"
            found.indexes = indexes.filter { $0.first == oid }.compactMap { index in
                guard index.count == 3, let name = index[1] else { return nil }
                return (name, names(index[2]))
            }
            return found
        }
    }

    private static func names(_ text: String?) -> [String] { text?.split(separator: separator).map(String.init) ?? [] }

    private static func unpublishable(
        _ pattern: String, over sql: borrowing SQLConnection
    ) throws(PostgresError) -> [Unpublishable] {
        let rows = try sql.query(
            """
            SELECT \(quotedName), c.relpersistence = 'u' FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE (c.relkind IN ('r', 'p') AND c.relpersistence = 'u' OR c.relkind = 'f') AND NOT c.relispartition
                AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND pg_catalog.concat(n.nspname, '.', c.relname) LIKE $1
            ORDER BY 1 LIMIT 100
            """, [PublicationSetup.likePattern(pattern)])
        return rows.compactMap { row in row.first.flatMap { $0 }.map { Unpublishable(name: $0, isUnlogged: row.last == "t") } }
    }

    private static func triggers(_ publication: String, over sql: borrowing SQLConnection) throws(PostgresError) -> [Trigger] {
        let rows = try sql.query(
            """
            WITH RECURSIVE \(PublishedTables.parts(candidates: PublishedTables.everyTable, publication: "$1"))
            SELECT pg_catalog.quote_ident(g.tgname), \(quotedName), p.prosrc !~ 'emit_event'
            FROM published t JOIN pg_catalog.pg_class c ON c.oid = t.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_catalog.pg_trigger g ON g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D'
            JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid
            WHERE p.prosrc ~ 'emit_event' OR p.prosrc ~ 'pg_notify' AND p.prosrc ~ 'fraiseql_events' ORDER BY 2, 1
            """, [publication])
        return rows.compactMap { row in
            guard row.count == 3, let name = row[0], let table = row[1] else { return nil }
            return Trigger(name: name, table: table, notifies: row[2] == "t")
        }
    }

    private static func casts(
        _ publication: String, named: [String], over sql: borrowing SQLConnection
    ) throws(PostgresError) -> [Cast] {
        let rows = try sql.query(
            """
            WITH RECURSIVE \(PublishedTables.parts(candidates: PublishedTables.everyTable, publication: "$1"))
            SELECT DISTINCT pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(t.typname)),
                f.oid::pg_catalog.regprocedure::pg_catalog.text, pg_catalog.concat(n.nspname, '.', t.typname) = ANY ($2::pg_catalog.text[]),
                CASE WHEN t.typtype IN ('b', 'e') THEN pg_catalog.pg_get_userbyid('10'::pg_catalog.oid) END
            FROM published u JOIN pg_catalog.pg_attribute a ON a.attrelid = u.oid AND a.attnum > 0 AND NOT a.attisdropped
            JOIN pg_catalog.pg_type t ON t.oid = a.atttypid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
            JOIN pg_catalog.pg_cast c ON c.castsource = t.oid AND c.casttarget = 'pg_catalog.json'::pg_catalog.regtype::pg_catalog.oid
                AND c.castmethod = 'f'
            JOIN pg_catalog.pg_proc f ON f.oid = c.castfunc JOIN pg_catalog.pg_language l ON l.oid = f.prolang
            WHERE (\(JSONCasts.isTrusted)) IS NOT TRUE ORDER BY 1
            """, [publication, CatalogueReader.arrayLiteral(named)])
        return rows.compactMap { row in
            guard row.count == 4, let type = row[0], let function = row[1] else { return nil }
            return Cast(type: type, function: function, isCalled: row[2] == "t", owner: row[3])
        }
    }
}
