/// Whether UPDATE and DELETE of a published table work: PostgreSQL refuses both, in the application, where it could not log which row was meant.
enum TableIdentity: Sendable, Equatable {
    case usable
    /// There is none; the way to one, as it follows `ALTER TABLE … REPLICA IDENTITY`. nil: first the table needs a key.
    case missing(remedy: String?)
    /// It has a generated column that is not published, which PostgreSQL 18 and later refuse.
    case generated(remedy: String?)
    /// The publication has a column list that leaves out a column of it, or a WHERE with a column that is none of it.
    case uncovered

    /// Two columns of a query on `c`, a row of `pg_class`: what `init(state:remedy:)` takes. NULL where no rows are written to it itself.
    ///
    /// As `CheckCmdReplicaIdentity` and `RelationGetIndexList` of PostgreSQL have it. A partition has its own identity: ALTER TABLE of its root does not reach it.
    ///
    /// A list or a WHERE counts where the publication has it for this very table; and a column that is in both is not looked at, since nothing tells in which it is.
    ///
    /// - Parameters:
    ///   - publication: The parameter with the publication's name, `$1`; there may be none.
    ///   - publishesGenerated: SQL that says whether it publishes stored generated columns.
    static func columns(serverVersion: Int, publication: String, publishesGenerated: String) -> String {
        // Only a unique index whose every key column is there in every row tells one row from all others.
        let usableIndex = "i.indrelid = c.oid AND i.indisvalid AND i.indisunique AND i.indimmediate AND i.indpred IS NULL"
        let key = """
            SELECT FROM pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
            LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum WHERE k.place <= i.indnkeyatts
            """
        let generated = """
            EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                    AND (a.attgenerated = 'v' OR a.attgenerated = 's' AND NOT \(publishesGenerated)))
            """
        let member = """
            SELECT FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication q ON q.oid = r.prpubid AND q.pubname = \(publication)
            WHERE r.prrelid = c.oid
            """
        // Both columns of a WHERE and those of a list are written down as what the table's membership depends on.
        let isUncovered = """
            EXISTS (\(member) AND (
                r.prattrs IS NOT NULL AND EXISTS (\(key) AND NOT k.attnum = ANY (r.prattrs))
                OR r.prqual IS NOT NULL AND EXISTS (
                    SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_publication_rel'::pg_catalog.regclass AND d.objid = r.oid
                        AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = c.oid AND d.refobjsubid > 0
                        AND (r.prattrs IS NULL OR NOT d.refobjsubid = ANY (r.prattrs)) AND NOT EXISTS (\(key) AND k.attnum = d.refobjsubid))))
            """
        let isStrict = serverVersion >= 180_000
        let hidesFull = isStrict ? generated : "false"
        let hidesIndex = isStrict ? "EXISTS (\(key) AND a.attgenerated <> '' AND NOT \(publishesGenerated))" : "false"
        return """
            CASE WHEN c.relkind = 'p' THEN NULL
                 WHEN c.relreplident = 'f' THEN CASE
                    WHEN \(hidesFull) THEN 'generated' WHEN EXISTS (\(member) AND r.prattrs IS NOT NULL) THEN 'uncovered' ELSE 'usable' END
                 ELSE coalesce((
                    SELECT CASE WHEN \(hidesIndex) THEN 'generated' WHEN \(isUncovered) THEN 'uncovered' ELSE 'usable' END
                    FROM pg_catalog.pg_index i
                    WHERE \(usableIndex)
                        AND (c.relreplident = 'd' AND i.indisprimary OR c.relreplident = 'i' AND i.indisreplident)), 'missing') END,
            coalesce((
                SELECT CASE WHEN i.indisprimary THEN 'DEFAULT' ELSE 'USING INDEX ' || pg_catalog.quote_ident(x.relname) END
                FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
                WHERE \(usableIndex) AND NOT EXISTS (\(key) AND (a.attnotnull AND a.attgenerated = '') IS NOT TRUE)
                ORDER BY i.indisprimary DESC, i.indnkeyatts, x.relname LIMIT 1), CASE WHEN \(hidesFull) THEN NULL ELSE 'FULL' END)
            """
    }

    /// - Returns: nil: not what `columns` gives.
    init?(state: String?, remedy: String?) {
        switch state {
        case "usable": self = .usable
        case "missing": self = .missing(remedy: remedy)
        case "generated": self = .generated(remedy: remedy)
        case "uncovered": self = .uncovered
        default: return nil
        }
    }

    /// As it follows `ALTER TABLE … REPLICA IDENTITY`.
    var remedy: String? {
        switch self {
        case .usable, .uncovered: nil
        case .missing(let remedy), .generated(let remedy): remedy
        }
    }
}
