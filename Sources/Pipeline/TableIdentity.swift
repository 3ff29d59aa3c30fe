/// Whether UPDATE and DELETE of a published table work: PostgreSQL refuses both, in the application, where it could not log which row was meant.
enum TableIdentity: Sendable, Equatable {
    case usable
    /// There is none; the way to one, as it follows `ALTER TABLE … REPLICA IDENTITY`. nil: first the table needs a key.
    case missing(remedy: String?)
    /// It has a generated column that is not published, which PostgreSQL 18 and later refuse.
    case generated(remedy: String?)

    /// Two columns of a query on `c`, a row of `pg_class`: what `init(state:remedy:)` takes. NULL where no rows are written to it itself.
    ///
    /// As `CheckCmdReplicaIdentity` and `RelationGetIndexList` of PostgreSQL have it. A partition has its own identity: ALTER TABLE of its root does not reach it.
    ///
    /// - Parameter publishesGenerated: SQL that says whether the publication publishes stored generated columns.
    static func columns(serverVersion: Int, publishesGenerated: String) -> String {
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
        let isStrict = serverVersion >= 180_000
        let hidesFull = isStrict ? generated : "false"
        let hidesIndex = isStrict ? "EXISTS (\(key) AND a.attgenerated <> '' AND NOT \(publishesGenerated))" : "false"
        return """
            CASE WHEN c.relkind = 'p' THEN NULL
                 WHEN c.relreplident = 'f' THEN CASE WHEN \(hidesFull) THEN 'generated' ELSE 'usable' END
                 ELSE coalesce((
                    SELECT CASE WHEN \(hidesIndex) THEN 'generated' ELSE 'usable' END FROM pg_catalog.pg_index i
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
        default: return nil
        }
    }

    /// As it follows `ALTER TABLE … REPLICA IDENTITY`.
    var remedy: String? {
        switch self {
        case .usable: nil
        case .missing(let remedy), .generated(let remedy): remedy
        }
    }
}
