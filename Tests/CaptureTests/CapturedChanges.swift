import PGOutput
import PrivateServers
import WAL

@testable import Capture

/// What PostgreSQL's pgoutput made of a script, and what PostgreSQL itself says of the rows.
struct CapturedChanges {
    /// pgoutput's messages, in order (protocol version 1, option `messages`).
    let messages: [[UInt8]]
    /// What the script printed.
    let output: [String]
    var catalogue: Catalogue

    /// Runs `setup`, creates publication and slot, runs `changes`, and reads what the slot then holds.
    ///
    /// Each has a database of its own, so that slots do not see each other. `hexjson(row)` is there in both scripts: the bytes
    /// of `to_json(row)::text` in hexadecimal, on one line whatever they hold.
    init(
        setup: String, changes: String, publication: String = "FOR ALL TABLES", encoding: String = "UTF8"
    ) throws {
        let server = try PostgresServer.shared.get()
        let database = "d\(UInt64.random(in: 0 ... .max))"
        _ = try server.run(
            "CREATE DATABASE \(database) TEMPLATE template0 ENCODING '\(encoding)';", database: "postgres")
        let lines = try server.run(
            """
            CREATE FUNCTION hexjson(r anyelement) RETURNS text LANGUAGE sql
                AS $$ SELECT encode(textsend(to_json(r)::text), 'hex') $$;
            \(setup)
            CREATE PUBLICATION p \(publication);
            \\o /dev/null
            SELECT pg_create_logical_replication_slot('\(database)', 'pgoutput');
            \\o
            \(changes)
            \\echo \(Self.separator)
            SELECT encode(data, 'hex') FROM pg_logical_slot_peek_binary_changes('\(database)', NULL, NULL,
                'proto_version', '1', 'publication_names', 'p', 'messages', 'true');
            \\echo \(Self.separator)
            SELECT t.oid, t.typtype,
                CASE WHEN t.typsubscript = 'array_subscript_handler'::regproc THEN t.typelem ELSE 0 END,
                ascii(coalesce(e.typdelim, ',')), t.typbasetype, coalesce(f.prosrc, ''),
                (SELECT string_agg(encode(textsend(attname::text), 'hex') || ':' || atttypid, ',' ORDER BY attnum)
                 FROM pg_attribute WHERE attrelid = t.typrelid AND t.typtype = 'c' AND attnum > 0 AND NOT attisdropped),
                t.typname
            FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem
            LEFT JOIN pg_cast c ON c.castsource = t.oid AND c.casttarget = 'json'::regtype AND c.castmethod = 'f'
                AND t.oid >= 16384
            LEFT JOIN pg_proc f ON f.oid = c.castfunc;
            \\echo \(Self.separator)
            SELECT i.indrelid, encode(textsend(a.attname::text), 'hex') FROM pg_index i
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
            WHERE i.indisprimary AND i.indrelid >= 16384;
            \\o /dev/null
            SELECT pg_drop_replication_slot('\(database)');
            """, database: database, encoding: encoding)
        let sections = lines.split(separator: Self.separator, omittingEmptySubsequences: false)
        guard sections.count == 4 else { throw TestFailure("unexpected output: \(lines)") }
        output = Array(sections[0])
        messages = sections[1].map(Self.bytes)
        catalogue = Self.catalogue(types: sections[2], primaryKeys: sections[3])
    }

    private static let separator = "=== next"

    /// The lines of `output` that `hexjson` made, as text.
    var rows: [String] { output.map { String(decoding: Self.bytes($0), as: UTF8.self) } }

    private static func bytes(_ hexadecimal: String) -> [UInt8] {
        let digits = hexadecimal.utf8.map { $0 > 0x39 ? $0 - 0x57 : $0 - 0x30 }
        return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    private static func catalogue(types: ArraySlice<String>, primaryKeys: ArraySlice<String>) -> Catalogue {
        var catalogue = Catalogue()
        for line in types {
            let fields = line.split(separator: "|", maxSplits: 7, omittingEmptySubsequences: false)
            guard fields.count == 8, let oid = UInt32(fields[0]), let kind = fields[1].first,
                let elementOID = UInt32(fields[2]), let delimiter = UInt8(fields[3]), let baseOID = UInt32(fields[4])
            else { continue }
            catalogue.types[oid] = TypeRow(
                oid: oid, name: String(fields[7]), kind: kind, elementOID: elementOID, elementDelimiter: delimiter,
                baseOID: baseOID, attributes: fields[6].split(separator: ",").compactMap(attribute),
                jsonCast: fields[5].isEmpty ? .none : fields[5] == "hstore_to_json" ? .hstore : .function)
        }
        for line in primaryKeys {
            let fields = line.split(separator: "|")
            guard fields.count == 2, let oid = UInt32(fields[0]) else { continue }
            catalogue.tables[RelationID(oid), default: TableFacts()].primaryKey.append(
                String(decoding: bytes(String(fields[1])), as: UTF8.self))
        }
        return catalogue
    }

    /// `name in hexadecimal:type`.
    private static func attribute(_ text: Substring) -> TypeRow.Attribute? {
        let parts = text.split(separator: ":")
        guard parts.count == 2, let typeOID = UInt32(parts[1]) else { return nil }
        return TypeRow.Attribute(name: String(decoding: bytes(String(parts[0])), as: UTF8.self), typeOID: typeOID)
    }

    /// What a configuration makes of the messages.
    func outcome(
        _ configuration: CaptureConfiguration = CaptureConfiguration(), payloadLimit: Int = 1_048_576,
        watermark: Position? = nil, proof: HistoryProof? = nil
    ) throws -> Outcome {
        try Outcome(
            of: messages, configuration, catalogue: catalogue, payloadLimit: payloadLimit, watermark: watermark,
            proof: proof)
    }

    /// The events; an error fails the test.
    func events(_ configuration: CaptureConfiguration = CaptureConfiguration()) throws -> [RecordedEvent] {
        let outcome = try outcome(configuration)
        if let error = outcome.error { throw error }
        return outcome.events
    }
}
