/// What a publication publishes, read from the catalogue's tables.
///
/// `pg_publication_tables` says it too, but opens every published table from PostgreSQL 16 on: it waits for whoever has locked one, and costs as much as
/// there are tables, whichever is asked about.
enum PublishedTables {
    /// Parts of a WITH RECURSIVE, the last of which, `published (oid)`, has those of the candidates under whose own names rows are published.
    ///
    /// - Parameters:
    ///   - candidates: A query for OIDs of `pg_class`.
    ///   - publication: The parameter with the publication's name, `$1`.
    static func parts(candidates: String, publication: String) -> String {
        """
        candidate (oid) AS (\(candidates)),
        publication AS MATERIALIZED (
            SELECT oid, puballtables, pubviaroot FROM pg_catalog.pg_publication WHERE pubname = \(publication)),
        line (oid, member) AS (
            SELECT oid, oid FROM candidate
            UNION ALL SELECT l.oid, i.inhparent FROM line l
            JOIN pg_catalog.pg_class c ON c.oid = l.member AND c.relispartition
            JOIN pg_catalog.pg_inherits i ON i.inhrelid = l.member),
        listed AS (
            SELECT l.oid, l.oid = l.member AS is_own,
                EXISTS (SELECT FROM pg_catalog.pg_publication_rel r, publication p WHERE r.prpubid = p.oid AND r.prrelid = l.member)
                OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s, publication p, pg_catalog.pg_class m
                           WHERE s.pnpubid = p.oid AND m.oid = l.member AND s.pnnspid = m.relnamespace) AS is_listed
            FROM line l),
        summary AS (
            SELECT oid, bool_or(is_listed AND is_own) AS is_own, bool_or(is_listed AND NOT is_own) AS is_roots
            FROM listed GROUP BY oid),
        published (oid) AS (
            SELECT c.oid FROM summary s JOIN pg_catalog.pg_class c ON c.oid = s.oid CROSS JOIN publication p
            WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.oid >= '16384'::pg_catalog.oid
                AND CASE WHEN p.puballtables AND p.pubviaroot THEN NOT c.relispartition
                         WHEN p.puballtables THEN c.relkind = 'r'
                         WHEN p.pubviaroot THEN s.is_own AND NOT s.is_roots
                         ELSE c.relkind = 'r' AND (s.is_own OR s.is_roots) END)
        """
    }

    /// The same parts, where the candidates are the tables that the publication reaches, from above: where few of many tables are published, the others cost nothing.
    static func reached(publication: String) -> String {
        """
        named (oid) AS (
            SELECT r.prrelid FROM pg_catalog.pg_publication_rel r JOIN publication p ON p.oid = r.prpubid
            UNION SELECT c.oid FROM pg_catalog.pg_publication_namespace s JOIN publication p ON p.oid = s.pnpubid
            JOIN pg_catalog.pg_class c ON c.relnamespace = s.pnnspid AND c.relkind IN ('r', 'p')
            UNION SELECT c.oid FROM pg_catalog.pg_class c JOIN publication p ON p.puballtables WHERE c.relkind IN ('r', 'p')),
        reached (oid) AS (
            SELECT oid FROM named UNION SELECT i.inhrelid FROM reached x JOIN pg_catalog.pg_inherits i ON i.inhparent = x.oid
            JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition),
        \(parts(candidates: "SELECT oid FROM reached", publication: publication))
        """
    }

    /// Candidates: every table.
    static let everyTable = "SELECT oid FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p')"
}
