import Capture
package import History
package import PostgresReplication

/// Which tables the patterns of a backfill mean, read from the catalogue.
///
/// A pattern means published tables by the name of their events, by their own name, and by that of a partitioned table above them. One without `*` and `?` means
/// whatever has the name: what is not published is told instead of passed over. A pattern with them passes over what is not published, and what
/// `events.exclude` leaves out wholly.
package enum BackfillTables {
    /// Reads the tables, by the names of their events and then by their own; those without a refusal can be read by whoever `sql` is.
    ///
    /// - Returns: `unmatched`: patterns that mean no table.
    /// - Throws: `.stop(.configuration)` where there is no publication; `.postgres`.
    package static func read(
        patterns: [String], _ configuration: StreamerConfiguration, over sql: borrowing SQLConnection
    ) throws(StreamerError) -> (candidates: [BackfillCandidate], unmatched: [String]) {
        let publication = configuration.source.publication
        let (rows, others) = try StreamerError.ofPostgres { () throws(PostgresError) in
            let like = CatalogueReader.arrayLiteral(patterns.map(PublicationSetup.likePattern))
            // Of a catalogue that nobody has analysed the planner expects a row where there are hundreds: loops in loops.
            try sql.execute("SET enable_nestloop = off")
            defer { try? sql.execute("RESET enable_nestloop") }
            return (try sql.query(query, [publication, like]), try sql.query(otherQuery, [publication, CatalogueReader.arrayLiteral(patterns.filter(isName))]))
        }
        guard !rows.isEmpty else {
            throw .found(.configuration, [.publicationMissing(publication, state: "so no table is published")])
        }
        var candidates: [BackfillCandidate] = []
        var matched = Set<Int>()
        for row in rows.compactMap({ Row($0, publication: publication) }) {
            let isNamed = row.patterns.contains { patterns.indices.contains($0) && isName(patterns[$0]) }
            if !isNamed, isLeftOut(row.table.published, configuration.capture) { continue }
            matched.formUnion(row.patterns)
            if let candidate = row.candidate(configuration.capture) { candidates.append(candidate) }
        }
        for row in others {
            guard row.count == 4, let name = row[0], let oid = row[1].flatMap({ UInt32($0) }), let sqlName = row[2], let what = row[3] else { continue }
            let named = patterns.indices.filter { patterns[$0].utf8.elementsEqual(name.utf8) && !matched.contains($0) }
            guard !named.isEmpty else { continue }
            matched.formUnion(named)
            candidates.append(
                BackfillCandidate(
                    table: BackfillProgress.Table(oid: oid, name: name, published: name, publishedOid: oid), sqlName: sqlName,
                    publishedSQLName: sqlName, refusal: "\(sqlName) \(what)"))
        }
        return (candidates, patterns.indices.filter { !matched.contains($0) }.map { patterns[$0] })
    }

    /// Whether a pattern means one name only.
    private static func isName(_ pattern: String) -> Bool { !pattern.utf8.contains { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?") } }

    private static func isLeftOut(_ table: String, _ capture: CaptureConfiguration) -> Bool {
        let operations = ["INSERT", "UPDATE", "DELETE"]
        return capture.excluded(operations, of: table) == operations
    }

    // MARK: - Rows

    /// What the catalogue says of one table; a partitioned one, which has no rows of its own, shows only that a pattern means it.
    private struct Row {
        var table: BackfillProgress.Table
        /// Those that mean it, by index.
        var patterns: [Int]
        private let hasRows: Bool
        private let estimatedRows: UInt64
        private let facts: BackfillFacts

        /// - Returns: nil: the row without a table that tells of a publication.
        init?(_ row: [String?], publication: String) {
            guard row.count == 19, let oid = row[2].flatMap({ UInt32($0) }), let name = row[3], let sqlName = row[4],
                let publishedOid = row[5].flatMap({ UInt32($0) }), let published = row[6], let publishedSQLName = row[7]
            else { return nil }
            table = BackfillProgress.Table(oid: oid, name: name, published: published, publishedOid: publishedOid)
            // Counted from 1 in SQL.
            patterns = (row[8] ?? "").split(separator: ",").compactMap { Int($0).map { $0 - 1 } }
            hasRows = row[9] != "p"
            estimatedRows = row[10].flatMap { UInt64($0) } ?? 0
            var facts = BackfillFacts()
            if row[9] == "f" {
                facts.kind = .foreign
            } else if row[11] != "p" {
                facts.kind = .unlogged
            } else if let method = row[12], method != "heap" {
                facts.kind = .accessMethod(method)
            }
            facts.published = published
            facts.sqlName = sqlName
            facts.publishedSQLName = publishedSQLName
            facts.byteCount = row[13].flatMap { UInt64($0) } ?? 0
            facts.publication = publication
            facts.unpublishedOperations = zip(["INSERT", "UPDATE"], [row[0], row[1]]).filter { $0.1 != "t" }.map(\.0)
            facts.role = row[14] ?? ""
            facts.grants = (row[15] ?? "").split(separator: "\n").map { String($0) }
            facts.hidesRows = row[16] == "t"
            facts.hasKey = row[17] == "t"
            facts.isOneOfSeveral = row[18] == "t"
            self.facts = facts
        }

        func candidate(_ capture: CaptureConfiguration) -> BackfillCandidate? {
            guard hasRows else { return nil }
            return BackfillCandidate(
                table: table, sqlName: facts.sqlName, publishedSQLName: facts.publishedSQLName, estimatedRows: estimatedRows,
                byteCount: facts.byteCount, refusal: facts.refusal(capture))
        }
    }

    // MARK: - Questions

    private static func plainName(_ n: String, _ c: String) -> String { "pg_catalog.concat(\(n).nspname, '.', \(c).relname)" }
    private static func sqlName(_ n: String, _ c: String) -> String {
        "pg_catalog.concat(pg_catalog.quote_ident(\(n).nspname), '.', pg_catalog.quote_ident(\(c).relname))"
    }

    /// A unique index that tells one row from all others; its events name a row by it, but for REPLICA IDENTITY FULL.
    private static let hasKey = """
        EXISTS (SELECT FROM pg_catalog.pg_index i
            WHERE i.indrelid = c.oid AND i.indisvalid AND i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
                AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident WHEN 'f' THEN true ELSE false END
                AND NOT EXISTS (
                    SELECT FROM pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
                    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                    WHERE k.place <= i.indnkeyatts AND a.attnotnull IS NOT TRUE))
        """

    /// As the planner has it: what was counted once at the density of then, or else rows as wide as their columns usually are.
    private static let estimatedRows = """
        CASE WHEN c.relkind <> 'r' THEN NULL WHEN c.reltuples >= 0 AND c.relpages > 0
            THEN (c.reltuples::pg_catalog.float8 / c.relpages * (size.heap / block.size))::pg_catalog.int8
            ELSE size.heap / (28 + (SELECT coalesce(pg_catalog.sum(CASE WHEN a.attlen > 0 THEN a.attlen ELSE 32 END), 0)
                FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)) END
        """

    /// Statements that give the role the rights that it lacks, a line each; a grant on the partitioned table does not reach its partitions.
    private static let grants = """
        pg_catalog.concat_ws(E'\\n',
            CASE WHEN NOT pg_catalog.has_schema_privilege(current_user, n.oid, 'USAGE')
                THEN pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, current_user) END,
            CASE WHEN NOT pg_catalog.has_table_privilege(current_user, c.oid, 'SELECT')
                THEN pg_catalog.format('GRANT SELECT ON %I.%I TO %I', n.nspname, c.relname, current_user) END,
            CASE WHEN r.oid <> c.oid AND NOT pg_catalog.has_table_privilege(current_user, r.oid, 'SELECT')
                THEN pg_catalog.format('GRANT SELECT ON %I.%I TO %I', m.nspname, r.relname, current_user) END)
        """

    /// What the publication reaches, with those of the patterns that mean it; one row at least where there is a publication.
    ///
    /// A partition whose rows are never published, foreign or unlogged, is there under its own name where the table above it is published.
    private static let query = """
        WITH RECURSIVE \(PublishedTables.reached(publication: "$1")),
        meant AS (
            SELECT l.oid, pg_catalog.string_agg(DISTINCT p.place::pg_catalog.text, ',') AS patterns
            FROM line l JOIN pg_catalog.pg_class c ON c.oid = l.member JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_catalog.unnest($2::pg_catalog.text[]) WITH ORDINALITY AS p (pattern, place) ON \(plainName("n", "c")) LIKE p.pattern
            GROUP BY l.oid),
        target AS (
            SELECT m.oid, m.patterns, (SELECT p.oid FROM line l JOIN published p ON p.oid = l.member WHERE l.oid = m.oid LIMIT 1) AS root FROM meant m),
        described AS (
            SELECT c.oid, \(plainName("n", "c")) AS name, \(sqlName("n", "c")) AS sql_name, r.oid AS published_oid, \(plainName("m", "r")) AS published,
                \(sqlName("m", "r")) AS published_sql_name, t.patterns, c.relkind, \(estimatedRows) AS estimated_rows, c.relpersistence, a.amname,
                size.heap + size.toast AS byte_count, pg_catalog.quote_ident(current_user) AS role, \(grants) AS grants,
                pg_catalog.row_security_active(c.oid) AS hides_rows, \(hasKey) AS has_key,
                r.oid <> c.oid AND (SELECT pg_catalog.count(*) FROM line l JOIN pg_catalog.pg_class s ON s.oid = l.oid
                    WHERE l.member = r.oid AND s.relkind <> 'p') > 1 AS is_one_of_several
            FROM target t JOIN pg_catalog.pg_class c ON c.oid = t.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_catalog.pg_class r ON r.oid = coalesce(t.root, t.oid) JOIN pg_catalog.pg_namespace m ON m.oid = r.relnamespace
            LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam
            CROSS JOIN (SELECT pg_catalog.current_setting('block_size')::pg_catalog.int8) AS block (size)
            CROSS JOIN LATERAL (
                SELECT CASE WHEN c.relkind = 'r' THEN coalesce(pg_catalog.pg_relation_size(c.oid), 0) ELSE 0 END,
                    CASE WHEN c.relkind = 'r' AND c.reltoastrelid <> '0'::pg_catalog.oid
                        THEN coalesce(pg_catalog.pg_relation_size(c.reltoastrelid), 0) ELSE 0 END) AS size (heap, toast)
            WHERE c.oid >= '16384'::pg_catalog.oid AND c.relkind IN ('r', 'p', 'f') AND (t.root IS NOT NULL OR c.relkind = 'p' OR EXISTS (
                SELECT FROM line l JOIN pg_catalog.pg_class a ON a.oid = l.member WHERE l.oid = c.oid AND l.member <> c.oid AND a.relpersistence = 'p')))
        SELECT q.pubinsert, q.pubupdate, d.* FROM pg_catalog.pg_publication q LEFT JOIN described d ON true
        WHERE q.pubname = $1 ORDER BY d.published, d.name
        """

    /// What has one of the names and is not reached by the publication, with what it is: the end of a sentence.
    private static let otherQuery = """
        SELECT \(plainName("n", "c")), c.oid, \(sqlName("n", "c")), CASE
            WHEN c.relkind = 'v' THEN 'is a view, which is never published: name its tables'
            WHEN c.relkind = 'm' THEN 'is a materialized view, which is never published: name its tables'
            WHEN c.relkind = 'f' THEN 'is a foreign table, which is never published: read it where its rows are'
            WHEN c.relpersistence = 't' THEN 'is a temporary table, which is never published: name another table'
            WHEN c.relpersistence = 'u' THEN
                pg_catalog.concat('is unlogged, so its changes are never published: ALTER TABLE ', \(sqlName("n", "c")), ' SET LOGGED')
            ELSE pg_catalog.format('is not published by publication %I: ALTER PUBLICATION %I ADD TABLE %I.%I', $1::pg_catalog.text, $1::pg_catalog.text,
                n.nspname, c.relname) END
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND \(plainName("n", "c")) = ANY ($2::pg_catalog.text[]) ORDER BY 1
        """
}
