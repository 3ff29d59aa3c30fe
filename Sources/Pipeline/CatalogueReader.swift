import Capture
import PGOutput
import PostgresReplication
import WAL

/// Asks the catalogue what a relation's plan needs to know, once a type and once a table.
enum CatalogueReader {
    /// Longer than any catalogue lookup takes, shorter than what the server waits for a status.
    static let timeout = Duration.seconds(2)

    /// Fills `assembler` before `relation` is received by it.
    /// - Throws: what the connection throws: nothing goes on with a guess.
    static func describe(
        _ relation: Relation, for assembler: inout TransactionAssembler, over connection: borrowing SQLConnection
    ) throws(PostgresError) {
        try refresh(&assembler.types, for: relation.columns.map(\.typeOID), over: connection)
        if assembler.needsPrimaryKey(relation) {
            assembler.primaryKeys[relation.id] = try primaryKey(of: relation.id, over: connection)
        }
    }

    /// Looks up what is not known of these types, and the composite ones again, whose attributes may have changed.
    static func refresh(
        _ types: inout TypeCatalogue, for typeOIDs: [UInt32], over connection: borrowing SQLConnection
    ) throws(PostgresError) {
        types.forgetComposites(in: typeOIDs)
        // What a type is made of is found round by round: an array's elements, a domain's base, a composite's attributes.
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
                   CASE WHEN t.typsubscript = 'pg_catalog.array_subscript_handler'::pg_catalog.regproc THEN t.typelem ELSE 0 END,
                   ascii(coalesce(e.typdelim, ',')), t.typbasetype,
                   CASE WHEN f.oid IS NULL OR t.oid < 16384 THEN '' WHEN f.prosrc = 'hstore_to_json' AND l.lanname = 'c' THEN 'hstore'
                        ELSE 'function' END
            FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem
            LEFT JOIN pg_catalog.pg_cast c
                ON c.castsource = t.oid AND c.casttarget = 'pg_catalog.json'::pg_catalog.regtype AND c.castmethod = 'f'
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

    /// A value's text cast to its type and that to json, as the database does it now.
    /// - Returns: What became of it; never `.unavailable`, for which the connection throws.
    static func json(
        of text: String, castFrom typeOID: UInt32, over connection: borrowing SQLConnection
    ) throws(PostgresError) -> CastAnswer {
        let names = try connection.query(
            "SELECT pg_catalog.format_type(oid, NULL) FROM pg_catalog.pg_type WHERE oid = $1::pg_catalog.oid",
            [String(typeOID)], timeout: timeout)
        // format_type quotes what has to be quoted, and names the schema where the path does not.
        guard let name = names.first?.first.flatMap({ $0 }) else { return .unknown }
        do throws(PostgresError) {
            let rows = try connection.query("SELECT $1::\(name)::pg_catalog.json::text", [text], timeout: timeout)
            // A cast may give NULL, which is `null` to to_json only where the value is.
            return .json(rows.first?.first.flatMap { $0 } ?? "null")
        } catch {
            // Its message may quote the value: it goes no further where the cast itself refuses.
            guard case .server(let sqlState, _, _, _, _, _) = error else { throw error }
            switch sqlState {
            // Undefined object, function or cast: dropped since.
            case "42704", "42883", "42846": return .unknown
            // Insufficient privilege.
            case "42501": throw error
            default:
                // 08 connection, 53 resources, 57 operator, 58 system: another time it may go well.
                if ["08", "53", "57", "58"].contains(String(sqlState.prefix(2))) { throw error }
                return .refused
            }
        }
    }

    private static func primaryKey(
        of relation: RelationID, over connection: borrowing SQLConnection
    ) throws(PostgresError) -> [String] {
        let rows = try connection.query(
            """
            SELECT a.attname FROM pg_catalog.pg_index i
            JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
            WHERE i.indrelid = $1::pg_catalog.oid AND i.indisprimary ORDER BY a.attnum
            """, [String(relation.rawValue)], timeout: timeout)
        return rows.compactMap { $0.first.flatMap { $0 } }
    }
}
