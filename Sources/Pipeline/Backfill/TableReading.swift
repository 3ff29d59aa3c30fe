import Capture
import History
import PGOutput
import PostgresReplication
import WAL

/// How one table's rows are read, as the catalogue has it in one snapshot.
struct TableReading {
    let table: BackfillProgress.Table
    /// As the stream's Relation message describes the published table.
    let relation: Relation
    /// By which a row is known; empty: the table has no key.
    let keyColumns: [String]
    /// Whether its events may come without columns that an UPDATE did not touch, or without all of its data: then its rows have to be known by a key.
    let hasUnsentColumns: Bool
    /// A partition names its rows by another key than the table under whose name they are published.
    let hasOtherIdentity: Bool
    /// As SQL writes it.
    private let quotedName: String
    private let quotedPublishedName: String
    /// The publication's condition and the operator's, with AND between them; empty: all rows.
    private let conditions: [String]
    private let keyTypes: [String]

    /// What was looked up beside it.
    let fingerprint: String
    let heapByteCount: UInt64

    var columnNames: [String] { relation.columns.map(\.name) }
    /// Where the key's columns stand among all.
    var keyIndices: [Int] { keyColumns.compactMap { name in columnNames.firstIndex { $0.utf8.elementsEqual(name.utf8) } } }
    /// Locked while its rows are read: a table that is rewritten is not what a snapshot shows.
    var lockStatement: String { "LOCK TABLE ONLY \(quotedName) IN ACCESS SHARE MODE" }
    /// The same where rows are looked for by their keys, in all partitions.
    var lockPublishedStatement: String { "LOCK TABLE \(quotedPublishedName) IN ACCESS SHARE MODE" }
    /// Nobody writes to the table behind it: all who have are shown. It takes more than the right to read.
    var lockWritersOutStatement: String { "SET LOCAL lock_timeout = '200ms'; LOCK TABLE ONLY \(quotedName) IN SHARE MODE" }
    /// How its rows are read is not the planner's to say: in the order in which they lie.
    static let walkSettings = ["seqscan", "indexscan", "indexonlyscan", "bitmapscan"].map { "SET LOCAL enable_\($0) = off" }.joined(separator: "; ")

    /// Prepares what is asked of each table and again in each of its chunks, of which planning would be most: once a connection.
    static func prepare(over sql: borrowing SQLConnection) throws(PostgresError) {
        try sql.execute("SET plan_cache_mode = force_generic_plan; PREPARE slotstream_table (pg_catalog.oid, pg_catalog.oid, pg_catalog.name) AS \(tableQuery(serverVersion: sql.serverVersion))")
    }

    private static func facts(_ table: BackfillProgress.Table, publication: String, over sql: borrowing SQLConnection) throws(PostgresError) -> [String?]? {
        try sql.query("EXECUTE slotstream_table (\(table.oid), \(table.publishedOid), \(quoteLiteral(publication)))").first
    }

    /// Reads it; nil: the table is gone, or no longer published.
    /// - Parameter sql: It is prepared.
    static func read(
        _ table: BackfillProgress.Table, condition: String?, publication: String, over sql: borrowing SQLConnection
    ) throws(PostgresError) -> TableReading? {
        guard let row = try facts(table, publication: publication, over: sql), row.count == 10, let schema = row[0], let name = row[1],
            let identity = row[2]?.utf8.first.flatMap({ ReplicaIdentity(rawValue: $0) }), let quotedName = row[3], let quotedPublishedName = row[4], row[5] == "t",
            let heapByteCount = row[7].flatMap({ UInt64($0) }), let fingerprint = row[9]
        else { return nil }
        let columns = try sql.query(columnQuery(serverVersion: sql.serverVersion), [String(table.publishedOid), publication])
        let isFull = identity == .full
        let relation = Relation(
            id: RelationID(table.publishedOid), namespace: schema, name: name, replicaIdentity: identity,
            columns: columns.compactMap { column in
                guard column.count == 4, let name = column[0], let type = column[1].flatMap({ UInt32($0) }), let modifier = column[2].flatMap({ Int32($0) })
                else { return nil }
                return RelationColumn(isKey: isFull || column[3] == "t", name: name, typeOID: type, typeModifier: modifier)
            })
        let keys = try sql.query(keyQuery, [String(table.publishedOid)])
        let published = Set(relation.columns.map { Array($0.name.utf8) })
        let key = keys.compactMap { key -> (name: String, type: String)? in
            guard key.count == 2, let name = key[0], let type = key[1], published.contains(Array(name.utf8)) else { return nil }
            return (name, type)
        }
        let hasKey = !keys.isEmpty && key.count == keys.count
        var conditions: [String] = []
        if let filter = row[6] { conditions.append(filter) }
        if let condition { conditions.append(condition) }
        return TableReading(
            table: table, relation: relation, keyColumns: hasKey ? key.map(\.name) : [],
            hasUnsentColumns: hasKey,
            hasOtherIdentity: row[8] == "t", quotedName: quotedName, quotedPublishedName: quotedPublishedName, conditions: conditions, keyTypes: hasKey ? key.map(\.type) : [],
            fingerprint: fingerprint, heapByteCount: heapByteCount)
    }

    /// The digest alone; empty: the table is gone.
    /// - Parameter sql: It is prepared.
    static func fingerprint(_ table: BackfillProgress.Table, publication: String, over sql: borrowing SQLConnection) throws(PostgresError) -> String {
        try facts(table, publication: publication, over: sql)?.last.flatMap { $0 } ?? ""
    }

    // MARK: - Statements

    private var selected: String { (["ctid"] + columnNames.map(quoteIdentifier)).joined(separator: ", ") }

    private var filter: String { conditions.map { " AND (\($0)\n)" }.joined() }

    /// Its rows behind `cursor`, up to a block, and so many at most: in the order in which they lie there.
    func walkStatement(behind cursor: ReadRows.TupleID, before block: UInt64, limit: Int) -> String {
        "SELECT \(selected) FROM ONLY \(quotedName) WHERE ctid > '(\(cursor.block),\(cursor.offset))'::pg_catalog.tid"
            + " AND ctid < '(\(min(block, UInt64(UInt32.max))),0)'::pg_catalog.tid\(filter) ORDER BY ctid LIMIT \(limit)"
    }

    /// All of its rows.
    var wholeStatement: String { "SELECT \(selected) FROM ONLY \(quotedName) WHERE true\(filter)" }

    /// The rows with these keys, of all partitions where the table is one.
    func keyStatement(_ keys: [RowKey]) -> String {
        let names = keyColumns.map(quoteIdentifier).joined(separator: ", ")
        let values = keys.compactMap { key -> String? in
            guard let texts = key.texts, texts.count == keyTypes.count else { return nil }
            return "(" + zip(texts, keyTypes).map { "\(quoteLiteral($0))::\($1)" }.joined(separator: ", ") + ")"
        }
        let only = table.oid == table.publishedOid ? "ONLY " : ""
        return "SELECT \(selected) FROM \(only)\(quotedPublishedName) WHERE (\(names)) IN (\(values.joined(separator: ", ")))\(filter)"
    }

    // MARK: - The catalogue

    /// Of a table, the one under whose name it is published, and a publication: names of the published one, its identity, names of both as SQL writes them, whether INSERT and UPDATE are published, the
    /// filter, the table's size, whether it names rows by another key, and a digest of all that decides what its rows look like.
    private static func tableQuery(serverVersion: Int) -> String {
        let generated = serverVersion >= 180_000 ? "q.pubgencols" : "''"
        func columns(_ parameter: String) -> String {
            """
            (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated, a.attisdropped, a.atthasmissing,
                a.attmissingval::pg_catalog.text), ',' ORDER BY a.attnum)
             FROM pg_catalog.pg_attribute a WHERE a.attrelid = \(parameter) AND a.attnum > 0)
            """
        }
        let types = """
            SELECT u.oid FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
             CROSS JOIN LATERAL (VALUES (t.oid), (t.typelem), (t.typbasetype)) AS u (oid) WHERE a.attrelid = $1 AND a.attnum > 0
            """
        // A schema that is published whole knows no conditions.
        let isWhole = "EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s WHERE s.pnpubid = q.oid AND s.pnnspid = p.relnamespace)"
        let ancestors = "c.oid UNION SELECT relid FROM pg_catalog.pg_partition_ancestors(c.oid::pg_catalog.regclass)"
        return """
            SELECT pn.nspname, p.relname, p.relreplident,
                pg_catalog.concat(pg_catalog.quote_ident(cn.nspname), '.', pg_catalog.quote_ident(c.relname)),
                pg_catalog.concat(pg_catalog.quote_ident(pn.nspname), '.', pg_catalog.quote_ident(p.relname)),
                q.pubinsert AND q.pubupdate, CASE WHEN \(isWhole) THEN NULL ELSE pg_catalog.pg_get_expr(r.prqual, r.prrelid) END,
                pg_catalog.pg_relation_size(c.oid), c.relreplident <> p.relreplident AND c.relreplident IN ('i', 'n'),
                pg_catalog.md5(pg_catalog.concat_ws('|', \(columns("$1")), CASE WHEN $1 <> $2 THEN \(columns("$2")) END,
                    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', e.enumtypid, e.oid, e.enumlabel), ',' ORDER BY e.oid) FROM pg_catalog.pg_enum e WHERE e.enumtypid = ANY (\(types))),
                    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', t.oid, t.typname, a.attnum, a.attname, a.atttypid), ',' ORDER BY t.oid, a.attnum) FROM pg_catalog.pg_type t
                     JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid WHERE t.typtype = 'c' AND t.oid = ANY (\(types))),
                    p.relreplident, c.relreplident, pn.nspname, p.relname, cn.nspname, c.relname,
                    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', i.indexrelid, i.indisprimary, i.indisreplident, i.indkey), ',' ORDER BY i.indexrelid)
                     FROM pg_catalog.pg_index i WHERE i.indrelid = p.oid AND i.indisunique),
                    q.oid, q.pubviaroot, q.pubinsert, q.pubupdate, q.pubdelete, q.pubtruncate, \(generated), r.oid, r.prattrs, r.prqual, \(isWhole)))
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
            JOIN pg_catalog.pg_class p ON p.oid = $2 JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
            JOIN pg_catalog.pg_publication q ON q.pubname = $3
            LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = q.oid AND r.prrelid = p.oid
            WHERE c.oid = $1 AND c.relkind = 'r'
                AND (q.puballtables OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel m WHERE m.prpubid = q.oid AND m.prrelid IN (SELECT \(ancestors)))
                    OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s JOIN pg_catalog.pg_class m ON m.relnamespace = s.pnnspid
                               WHERE s.pnpubid = q.oid AND m.oid IN (SELECT \(ancestors))))
                AND ($1 = $2 OR p.oid IN (SELECT relid FROM pg_catalog.pg_partition_ancestors(c.oid::pg_catalog.regclass)))
            """
    }

    /// The published columns in their order: name, type, modifier, whether it is of the replica identity.
    private static func columnQuery(serverVersion: Int) -> String {
        let isSent =
            serverVersion >= 180_000
            ? "CASE WHEN r.prattrs IS NOT NULL THEN a.attnum = ANY (r.prattrs) ELSE a.attgenerated = '' OR (a.attgenerated = 's' AND q.pubgencols = 's') END"
            : "a.attgenerated = '' AND (r.prattrs IS NULL OR a.attnum = ANY (r.prattrs))"
        return """
            SELECT a.attname, a.atttypid, a.atttypmod, EXISTS (
                    SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = p.oid AND i.indisvalid AND i.indisunique AND i.indimmediate
                    AND (p.relreplident = 'd' AND i.indisprimary OR p.relreplident = 'i' AND i.indisreplident)
                    AND a.attnum = ANY ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1]))
            FROM pg_catalog.pg_class p JOIN pg_catalog.pg_attribute a ON a.attrelid = p.oid AND a.attnum > 0 AND NOT a.attisdropped
            JOIN pg_catalog.pg_publication q ON q.pubname = $2
            LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = q.oid AND r.prrelid = p.oid
            WHERE p.oid = $1::pg_catalog.oid AND \(isSent) ORDER BY a.attnum
            """
    }

    /// The key by which events name a row, in column order: the replica identity's; with FULL any that tells each row from all others, the primary key first.
    private static let keyQuery = """
        SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) FROM (
            SELECT i.indrelid, (i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1] AS key
            FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class p ON p.oid = i.indrelid
            WHERE p.oid = $1::pg_catalog.oid AND i.indisvalid AND i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
                AND CASE p.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident WHEN 'n' THEN false
                    ELSE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute n WHERE n.attrelid = p.oid AND NOT n.attnotnull
                                     AND n.attnum = ANY ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1])) END
            ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid LIMIT 1) AS k
        JOIN pg_catalog.pg_attribute a ON a.attrelid = k.indrelid AND a.attnum = ANY (k.key) ORDER BY a.attnum
        """

    /// What is asked in each chunk's snapshot: the snapshot, where the next record goes, the file, the blocks, and which server it is.
    static func chunkQuery(_ table: BackfillProgress.Table) -> String {
        """
        SELECT pg_catalog.pg_current_snapshot(), pg_catalog.pg_current_wal_insert_lsn(), coalesce(pg_catalog.pg_relation_filenode(\(table.oid)), 0),
            coalesce(pg_catalog.pg_relation_size(\(table.oid)), 0) / pg_catalog.current_setting('block_size')::pg_catalog.int8, \(ServerMark.expression)
        """
    }
}
