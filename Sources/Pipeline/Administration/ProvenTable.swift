import Capture
import History
import PostgresReplication
import WAL

/// A published table whose rows are held against the stream's, as the catalogue has it in one snapshot.
struct ProvenTable {
    /// Schema and table, as events' `source` names them.
    let schema: String
    let table: String
    /// With quotes where SQL needs them.
    private let quotedName: String
    private let isPartitioned: Bool
    /// What the publication leaves out of its rows; nil: nothing.
    private let rowFilter: String?
    /// Published, and neither masked nor left out.
    let columns: [String]
    /// By which UPDATE and DELETE name a row.
    let key: [String]
    /// Published columns whose values are not in the events as they are.
    let hidden: [String]

    /// `schema.table`, as the configuration names it.
    var name: String { "\(schema).\(table)" }

    /// How its rows are folded.
    var shape: RowFold.Shape { RowFold.Shape(columns: columns.map { Array($0.utf8) }, key: key.map { Array($0.utf8) }) }

    /// - Parameter name: `schema.table`, or a table's name that the path finds.
    /// - Throws: `.stop(.configuration)` where there is no such published table, or its rows cannot be told apart.
    static func read(
        _ name: String, _ configuration: StreamerConfiguration, sql: borrowing SQLConnection
    ) throws(StreamerError) -> ProvenTable {
        let publication = configuration.source.publication
        let (found, columns) = try StreamerError.ofPostgres { () throws(PostgresError) in
            let found = try sql.query(Self.query, [name, publication])
            return (found, try found.first?.first.flatMap { $0 }.map { (oid) throws(PostgresError) in try sql.query(Self.columnQuery, [oid, publication]) } ?? [])
        }
        guard found.count == 1, let row = found.first, row.count == 7, let schema = row[1], let table = row[2], let quotedName = row[3] else {
            throw found.isEmpty
                ? refused("no published table is named \(name)", "Name a table of publication \(publication) as schema.table: `slotstream status` counts the tables")
                : refused("\(found.count) tables are named \(name)", "Name the table as schema.table")
        }
        let qualifiedName = "\(schema).\(table)"
        let excluded = Set(configuration.capture.excludedColumns[qualifiedName] ?? [])
        let masked = Set((configuration.capture.masks[qualifiedName] ?? [:]).keys)
        let published = columns.compactMap { $0.first.flatMap { $0 } }
        let key = columns.compactMap { column -> (place: Int, name: String)? in
            guard column.count == 2, let name = column[0], let place = column[1].flatMap({ Int($0) }) else { return nil }
            return (place, name)
        }.sorted { $0.place < $1.place }.map(\.name)
        guard !key.isEmpty, key.count == row[6].flatMap({ Int($0) }) else {
            throw refused(
                "the rows of \(qualifiedName) cannot be told apart by their events: the table has no replica identity by a key that is published",
                "Give the table a primary key, and let the publication have the columns of that key")
        }
        if let hidden = key.first(where: { excluded.contains($0) || masked.contains($0) }) {
            throw refused(
                "the rows of \(qualifiedName) cannot be told apart by their events: [events.columns] hides \(hidden), which is a part of the key",
                "Compare another table. Masks and exclusions of other columns are no obstacle")
        }
        return ProvenTable(
            schema: schema, table: table, quotedName: quotedName, isPartitioned: row[4] == "p", rowFilter: row[5],
            columns: published.filter { !excluded.contains($0) && !masked.contains($0) }, key: key,
            hidden: published.filter { excluded.contains($0) || masked.contains($0) })
    }

    private static func refused(_ what: String, _ remedy: String) -> StreamerError {
        .stop(.configuration, what: what, remedy: remedy)
    }

    /// Its columns, each of a key by which events name a row with its place in that.
    private static let columnQuery = """
        SELECT a.attname, (
            SELECT k.place FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY k (number, place)
            WHERE k.number = a.attnum AND k.place <= i.indnkeyatts)
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_publication_tables p ON p.pubname = $2 AND p.schemaname = n.nspname AND p.tablename = c.relname
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = ANY (p.attnames) AND NOT a.attisdropped
        LEFT JOIN pg_catalog.pg_index i ON \(identity)
        WHERE c.oid = $1::pg_catalog.oid ORDER BY a.attnum
        """

    /// The index by which UPDATE and DELETE name a row; with FULL, the primary key's: the whole row has it.
    private static let identity =
        "i.indrelid = c.oid AND CASE c.relreplident WHEN 'i' THEN i.indisreplident WHEN 'n' THEN false ELSE i.indisprimary END"

    private static let query = """
        SELECT c.oid, n.nspname, c.relname, pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(c.relname)),
            c.relkind, p.rowfilter, i.indnkeyatts
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_publication_tables p ON p.pubname = $2 AND p.schemaname = n.nspname AND p.tablename = c.relname
        LEFT JOIN pg_catalog.pg_index i ON \(identity)
        WHERE pg_catalog.concat(n.nspname, '.', c.relname) = $1 OR (c.relname = $1 AND pg_catalog.pg_table_is_visible(c.oid))
        """

    // MARK: - Rows

    /// One of its rows.
    struct Row {
        var columns: [ReadRow.Column]
        /// The transaction that wrote it last.
        var xmin: TransactionID
    }

    private static let cursor = "slotstream_rows"
    /// About so many bytes of rows are fetched at a time, and so many rows at most.
    private static let fetchByteCount = 4 << 20
    private static let fetchLimit = 5_000

    /// Gives each of its rows to `body`, in the transaction that is open.
    func forEachRow(
        over sql: borrowing SQLConnection, _ body: (Row) throws(StreamerError) -> Void
    ) throws(StreamerError) {
        let names = columns.map { "t." + quoteIdentifier($0) }.joined(separator: ", ")
        let filter = rowFilter.map { " WHERE \($0)" } ?? ""
        try StreamerError.ofPostgres { () throws(PostgresError) in
            try sql.execute(
                "DECLARE \(Self.cursor) NO SCROLL CURSOR FOR SELECT t.xmin, pg_catalog.to_json((SELECT r FROM (SELECT \(names)) r)) FROM \(isPartitioned ? "" : "ONLY ")\(quotedName) t\(filter)")
        }
        var count = 10
        while true {
            let rows = try StreamerError.ofPostgres { () throws(PostgresError) in
                try sql.query("FETCH \(count) FROM \(Self.cursor)")
            }
            guard !rows.isEmpty else { break }
            var byteCount = 0
            for row in rows {
                guard row.count == 2, let xmin = row[0].flatMap({ UInt32($0) }), let text = row[1],
                    let columns = ReadRow.columns(of: Array(text.utf8))
                else { throw .postgres(.protocolViolation(message: "cannot read a row of \(name)")) }
                byteCount += text.utf8.count
                try body(Row(columns: columns, xmin: TransactionID(xmin)))
            }
            count = max(1, min(Self.fetchLimit, 4 * count, rows.count * Self.fetchByteCount / max(1, byteCount)))
        }
        try StreamerError.ofPostgres { () throws(PostgresError) in try sql.execute("CLOSE \(Self.cursor)") }
    }
}
