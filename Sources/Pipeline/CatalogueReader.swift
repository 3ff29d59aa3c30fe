import Capture
import Glibc
import PGOutput
import PostgresReplication
import WAL

/// Asks the catalogue what a relation's plan needs to know, once a type and once a table.
enum CatalogueReader {
    /// Longer than any catalogue lookup takes, shorter than what the server waits for a status.
    static let timeout = Duration.seconds(2)

    /// A transaction is sent when it is flushed; others see it a little later, behind a synchronous standby when that has answered.
    private static let visibilityTimeout = Duration.seconds(1)

    /// Fills `assembler` before `relation` is received by it.
    /// - Throws: what the connection throws: nothing goes on with a guess.
    static func describe(
        _ relation: Relation, for assembler: inout TransactionAssembler, over connection: borrowing SQLConnection
    ) throws(PostgresError) {
        let typeOIDs = relation.columns.map(\.typeOID)
        assembler.types.forget(typeOIDs)
        let needsFacts = assembler.needsFacts(relation)
        guard needsFacts || !assembler.types.missing(typeOIDs).isEmpty else { return }
        try waitUntilVisible(assembler.currentTransactionID, over: connection)
        try refresh(&assembler.types, for: typeOIDs, over: connection)
        if needsFacts { assembler.tableFacts[relation.id] = try facts(of: relation.id, over: connection) }
    }

    /// Waits until what a transaction did to the catalogue can be seen: a type may have been made in the transaction that uses it.
    /// - Throws: `.timedOut`; what the connection throws.
    static func waitUntilVisible(
        _ transactionID: TransactionID, over connection: borrowing SQLConnection
    ) throws(PostgresError) {
        guard transactionID != .none else { return }
        let deadline = Instant.now + visibilityTimeout
        // The 32 bits of an xid are those of the nearest to the snapshot's end, before it or after it.
        let sql = """
            SELECT pg_catalog.pg_visible_in_snapshot(
                (CASE WHEN m.ahead >= 2147483648 THEN m.xmax + m.ahead - 4294967296 ELSE m.xmax + m.ahead END)
                    ::pg_catalog.text::pg_catalog.xid8, m.snapshot)
            FROM (SELECT s.snapshot, s.xmax, ($1::pg_catalog.int8 - s.xmax) & 4294967295 AS ahead
                  FROM (SELECT snapshot, pg_catalog.pg_snapshot_xmax(snapshot)::pg_catalog.text::pg_catalog.int8 AS xmax
                        FROM pg_catalog.pg_current_snapshot() AS snapshot) AS s) AS m
            """
        while try connection.query(sql, [String(transactionID.rawValue)], timeout: timeout).first?.first != "t" {
            guard Instant.now < deadline else {
                throw .timedOut(command: "waiting until transaction \(transactionID) is visible")
            }
            usleep(2000)
        }
    }

    /// Looks up what is not known of these types, round by round: an array's elements, a domain's base, a composite's attributes.
    static func refresh(
        _ types: inout TypeCatalogue, for typeOIDs: [UInt32], over connection: borrowing SQLConnection
    ) throws(PostgresError) {
        while true {
            let missing = types.missing(typeOIDs)
            if missing.isEmpty { return }
            let found = try rows(missing, over: connection)
            for row in found { types.insert(row) }
            let foundOIDs = Set(found.map(\.oid))
            for oid in missing where !foundOIDs.contains(oid) { types.insertUnknown(oid) }
        }
    }

    private static func rows(
        _ oids: [UInt32], over connection: borrowing SQLConnection
    ) throws(PostgresError) -> [TypeRow] {
        let list = "{" + oids.map(String.init).joined(separator: ",") + "}"
        let rows = try connection.query(
            """
            SELECT t.oid, t.typname, t.typtype,
                   CASE WHEN t.typsubscript::pg_catalog.oid = 'pg_catalog.array_subscript_handler'::pg_catalog.regproc::pg_catalog.oid THEN t.typelem ELSE 0 END,
                   pg_catalog.ascii(coalesce(e.typdelim, ',')::pg_catalog.text), t.typbasetype,
                   CASE WHEN f.oid IS NULL OR t.oid < '16384'::pg_catalog.oid THEN '' WHEN f.prosrc = 'hstore_to_json' AND l.lanname = 'c' THEN 'hstore'
                        ELSE 'function' END
            FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem
            LEFT JOIN pg_catalog.pg_cast c
                ON c.castsource = t.oid AND c.casttarget = 'pg_catalog.json'::pg_catalog.regtype::pg_catalog.oid AND c.castmethod = 'f'
            LEFT JOIN pg_catalog.pg_proc f ON f.oid = c.castfunc
            LEFT JOIN pg_catalog.pg_language l ON l.oid = f.prolang
            WHERE t.oid = ANY ($1::pg_catalog.oid[])
            """, [list], timeout: timeout)
        let attributes = try attributes(list, over: connection)
        return rows.compactMap { row in
            guard row.count == 7, let oid = row[0].flatMap({ UInt32($0) }), let name = row[1], let kind = row[2]?.first,
                let elementOID = row[3].flatMap({ UInt32($0) }), let delimiter = row[4].flatMap({ UInt8($0) }),
                let baseOID = row[5].flatMap({ UInt32($0) })
            else { return nil }
            let jsonCast: TypeRow.JSONCast =
                switch row[6] {
                case "hstore": .hstore
                case "function": .function
                default: .none
                }
            return TypeRow(
                oid: oid, name: name, kind: kind, elementOID: elementOID, elementDelimiter: delimiter,
                baseOID: baseOID, attributes: attributes[oid] ?? [], jsonCast: jsonCast)
        }
    }

    /// The attributes of those types that are composite, by the type's OID.
    private static func attributes(
        _ oids: String, over connection: borrowing SQLConnection
    ) throws(PostgresError) -> [UInt32: [TypeRow.Attribute]] {
        let rows = try connection.query(
            """
            SELECT t.oid, a.attname, a.atttypid FROM pg_catalog.pg_type t
            JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE t.typtype = 'c' AND t.oid = ANY ($1::pg_catalog.oid[]) ORDER BY t.oid, a.attnum
            """, [oids], timeout: timeout)
        var attributes: [UInt32: [TypeRow.Attribute]] = [:]
        for row in rows {
            guard row.count == 3, let oid = row[0].flatMap({ UInt32($0) }), let name = row[1],
                let typeOID = row[2].flatMap({ UInt32($0) })
            else { continue }
            attributes[oid, default: []].append(TypeRow.Attribute(name: name, typeOID: typeOID))
        }
        return attributes
    }

    /// A value's text cast to its type and that to json, as the database does it now. The cast is the user's own code.
    /// - Returns: What became of it; never `.unavailable`, for which the connection throws.
    /// - Throws: what the connection throws; never with what the server said of the value.
    static func json(
        of text: String, castFrom typeOID: UInt32, over connection: borrowing SQLConnection
    ) throws(PostgresError) -> CastAnswer {
        guard let name = try castableName(of: typeOID, over: connection) else { return .unknown }
        do throws(PostgresError) {
            let rows = try connection.query("SELECT $1::\(name)::pg_catalog.json::pg_catalog.text", [text], timeout: timeout)
            // to_json takes no NULL from a cast either.
            return rows.first?.first.flatMap { $0 }.map { .json($0) } ?? .refused
        } catch {
            guard case .server(let sqlState, let severity, _, _, _, _) = error else { throw error }
            switch String(sqlState.prefix(2)) {
            // Data, constraints, what routines raise: the cast itself refuses.
            case "22", "23", "2F", "38", "39", "P0": return .refused
            // An undefined object may be the cast, gone since it was looked for, or something that its function needs.
            case "42" where try castableName(of: typeOID, over: connection) == nil: return .unknown
            default:
                throw .server(
                    sqlState: sqlState, severity: severity, message: "the cast of \(name) to json failed", detail: nil,
                    hint: nil, command: "SELECT $1::\(name)::json")
            }
        }
    }

    /// The type's name as SQL, if it has a cast to json through a function; nil: type or cast are gone.
    private static func castableName(
        of typeOID: UInt32, over connection: borrowing SQLConnection
    ) throws(PostgresError) -> String? {
        // format_type quotes what has to be quoted, and names the schema where the path does not.
        let rows = try connection.query(
            """
            SELECT pg_catalog.format_type(t.oid, NULL) FROM pg_catalog.pg_type t
            JOIN pg_catalog.pg_cast c ON c.castsource = t.oid AND c.casttarget = 'pg_catalog.json'::pg_catalog.regtype::pg_catalog.oid
                AND c.castmethod = 'f'
            WHERE t.oid = $1::pg_catalog.oid
            """, [String(typeOID)], timeout: timeout)
        return rows.first?.first.flatMap { $0 }
    }

    private static func facts(
        of relation: RelationID, over connection: borrowing SQLConnection
    ) throws(PostgresError) -> TableFacts {
        let oid = String(relation.rawValue)
        var facts = TableFacts()
        // Behind an index's key columns come those that it only includes.
        let keys = try connection.query(
            """
            SELECT a.attname, i.indisprimary, i.indisreplident FROM pg_catalog.pg_index i
            JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid
                AND a.attnum = ANY ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1])
            WHERE i.indrelid = $1::pg_catalog.oid AND (i.indisprimary OR i.indisreplident) ORDER BY a.attnum
            """, [oid], timeout: timeout)
        for row in keys where row.count == 3 {
            guard let name = row[0] else { continue }
            if row[1] == "t" { facts.primaryKey.append(name) }
            if row[2] == "t" { facts.identityIndex.append(name) }
        }
        // Through pg_inherits, for pg_partition_tree() would wait for whoever alters a partition.
        let partitions = try connection.query(
            """
            WITH RECURSIVE tree(oid) AS (
                SELECT oid FROM pg_catalog.pg_class WHERE oid = $1::pg_catalog.oid AND relkind = 'p'
                UNION ALL SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON i.inhparent = tree.oid)
            SELECT EXISTS (
                SELECT FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid WHERE c.relkind = 'r' AND c.relreplident <> 'f')
            """, [oid], timeout: timeout)
        facts.hasPartitionWithoutFullIdentity = partitions.first?.first == "t"
        return facts
    }
}
