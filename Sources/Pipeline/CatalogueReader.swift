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
        // What a type is made of is found round by round: an array's elements, a domain's base.
        while true {
            let missing = assembler.types.missing(relation.columns.map(\.typeOID))
            if missing.isEmpty { break }
            let found = try types(missing, over: connection)
            for row in found { assembler.types.insert(row) }
            let foundOIDs = Set(found.map(\.oid))
            for oid in missing where !foundOIDs.contains(oid) { assembler.types.insertUnknown(oid) }
        }
        if assembler.needsPrimaryKey(relation) {
            assembler.primaryKeys[relation.id] = try primaryKey(of: relation.id, over: connection)
        }
    }

    private static func types(
        _ oids: [UInt32], over connection: borrowing SQLConnection
    ) throws(PostgresError) -> [TypeRow] {
        let rows = try connection.query(
            """
            SELECT t.oid, t.typname, t.typtype,
                   CASE WHEN t.typsubscript = 'pg_catalog.array_subscript_handler'::pg_catalog.regproc THEN t.typelem ELSE 0 END,
                   ascii(coalesce(e.typdelim, ',')), t.typbasetype
            FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem
            WHERE t.oid = ANY ($1::pg_catalog.oid[])
            """, ["{" + oids.map(String.init).joined(separator: ",") + "}"], timeout: timeout)
        return rows.compactMap { row in
            guard row.count == 6, let oid = row[0].flatMap({ UInt32($0) }), let name = row[1], let kind = row[2]?.first,
                let elementOID = row[3].flatMap({ UInt32($0) }), let delimiter = row[4].flatMap({ UInt8($0) }),
                let baseOID = row[5].flatMap({ UInt32($0) })
            else { return nil }
            return TypeRow(
                oid: oid, name: name, kind: kind, elementOID: elementOID, elementDelimiter: delimiter, baseOID: baseOID)
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
