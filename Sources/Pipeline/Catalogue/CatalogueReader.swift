import Capture
import Glibc
import PGOutput
import PostgresReplication
import WAL

/// Asks the catalogue what a relation's plan needs to know, once a type and once a table.
enum CatalogueReader {
    /// Longer than any one lookup takes, on a server that has much else to do too.
    static let timeout = Streamer.connectTimeout

    /// So many types a question.
    private static let typeLimit = 1000

    /// What is known of a table that is being described. It outlives the session that began to ask: a catalogue that is slow, or held up again and again,
    /// is not asked from the beginning for ever.
    struct Learned: Sendable {
        var types = TypeCatalogue()
        var facts: TableFacts?
    }

    /// Describes a relation, without ever waiting for longer than `patience` for what cannot be shown yet.
    ///
    /// - Parameters:
    ///   - transactionID: The one whose work has to be seen.
    ///   - named: Types whose cast to json the operator named.
    ///   - learned: What was found before; it grows by what is found, also where that ends in an error.
    /// - Returns: The description, and whether all is known; if not, what may be wrong is left out or goes as text, and the relation is to be described again
    ///   when the transaction is shown.
    /// - Throws: what the connection throws: nothing goes on with a guess.
    static func describe(
        _ relation: Relation, needsFacts: Bool, of transactionID: TransactionID, named: [String], patience: Duration,
        learned: inout Learned, within budget: TimeBudget, over connection: borrowing SQLConnection
    ) throws(PostgresError) -> (description: TableDescription, isCertain: Bool) {
        let typeOIDs = relation.columns.map(\.typeOID)
        func isAllKnown() -> Bool { learned.types.missing(typeOIDs).isEmpty && (!needsFacts || learned.facts != nil) }
        func known() -> TableDescription { TableDescription(types: learned.types, facts: learned.facts ?? TableFacts()) }
        if isAllKnown() { return (known(), true) }
        let view = try CatalogueView.of(transactionID, within: budget, over: connection)
        if !view.isWhole {
            // What is hidden is never learnt.
            var seen = Learned()
            var isCertain = try refresh(&seen.types, for: typeOIDs, in: view, named: named, within: budget, over: connection)
            if needsFacts {
                let facts = try facts(of: relation.id, in: view, within: budget, over: connection)
                isCertain = isCertain && facts.areCertain
                seen.facts = facts
            }
            if isCertain { learned = seen }
            let description = TableDescription(types: seen.types, facts: seen.facts ?? TableFacts())
            if isCertain { return (description, true) }
            guard try CatalogueView.becomesWhole(for: transactionID, patience: patience, within: budget, over: connection) else {
                return (description, false)
            }
        }
        _ = try refresh(&learned.types, for: typeOIDs, in: .whole, named: named, within: budget, over: connection)
        if needsFacts, learned.facts == nil {
            learned.facts = try facts(of: relation.id, in: .whole, within: budget, over: connection)
        }
        return (known(), true)
    }

    /// Looks up what is not known of these types, round by round: an array's elements, a domain's base, a composite's attributes.
    /// - Returns: False if some may be otherwise than they are shown, or are not shown at all; they become unknown.
    static func refresh(
        _ types: inout TypeCatalogue, for typeOIDs: [UInt32], in view: CatalogueView, named: [String],
        within budget: TimeBudget, over connection: borrowing SQLConnection
    ) throws(PostgresError) -> Bool {
        var isCertain = true
        while true {
            let missing = types.missing(typeOIDs)
            if missing.isEmpty { return isCertain }
            for start in stride(from: 0, to: missing.count, by: typeLimit) {
                let asked = missing[start..<min(start + typeLimit, missing.count)]
                let found = try rows(asked, in: view, named: named, within: budget, over: connection)
                for row in found { types.insert(row) }
                let foundOIDs = Set(found.map(\.oid))
                for oid in asked where !foundOIDs.contains(oid) {
                    types.insertUnknown(oid)
                    isCertain = isCertain && view.isWhole
                }
            }
        }
    }

    /// What there is of these types, without those that may be otherwise.
    private static func rows(
        _ oids: ArraySlice<UInt32>, in view: CatalogueView, named: [String], within budget: TimeBudget,
        over connection: borrowing SQLConnection
    ) throws(PostgresError) -> [TypeRow] {
        let list = "{" + oids.map(String.init).joined(separator: ",") + "}"
        let rows = try connection.query(
            """
            SELECT t.oid, t.typname, t.typtype,
                   CASE WHEN t.typsubscript::pg_catalog.oid = 'pg_catalog.array_subscript_handler'::pg_catalog.regproc::pg_catalog.oid THEN t.typelem ELSE 0 END,
                   pg_catalog.ascii(coalesce(e.typdelim, ',')::pg_catalog.text), t.typbasetype,
                   CASE WHEN f.oid IS NULL OR t.oid < '16384'::pg_catalog.oid THEN '' WHEN f.prosrc = 'hstore_to_json' AND l.lanname = 'c' THEN 'hstore'
                        WHEN pg_catalog.concat(n.nspname, '.', t.typname) = ANY ($2::pg_catalog.text[]) OR (\(JSONCasts.isTrusted)) THEN 'function'
                        ELSE 'withheld' END
            FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
            LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem
            LEFT JOIN pg_catalog.pg_cast c
                ON c.castsource = t.oid AND c.casttarget = 'pg_catalog.json'::pg_catalog.regtype::pg_catalog.oid AND c.castmethod = 'f'
            LEFT JOIN pg_catalog.pg_proc f ON f.oid = c.castfunc
            LEFT JOIN pg_catalog.pg_language l ON l.oid = f.prolang
            WHERE t.oid = ANY ($1::pg_catalog.oid[]) AND t.typrelid <> ALL ($3::pg_catalog.oid[])
            """, [list, arrayLiteral(named), view.hiddenList], timeout: budget.next)
        let attributes = try attributes(list, within: budget, over: connection)
        return rows.compactMap { row in
            guard row.count == 7, let oid = row[0].flatMap({ UInt32($0) }), let name = row[1], let kind = row[2]?.first,
                let elementOID = row[3].flatMap({ UInt32($0) }), let delimiter = row[4].flatMap({ UInt8($0) }),
                let baseOID = row[5].flatMap({ UInt32($0) })
            else { return nil }
            let jsonCast: TypeRow.JSONCast =
                switch row[6] {
                case "hstore": .hstore
                case "function": .function
                case "withheld": .withheld
                default: .none
                }
            return TypeRow(
                oid: oid, name: name, kind: kind, elementOID: elementOID, elementDelimiter: delimiter,
                baseOID: baseOID, attributes: attributes[oid] ?? [], jsonCast: jsonCast)
        }
    }

    /// The attributes of those types that are composite, by the type's OID.
    private static func attributes(
        _ oids: String, within budget: TimeBudget, over connection: borrowing SQLConnection
    ) throws(PostgresError) -> [UInt32: [TypeRow.Attribute]] {
        let rows = try connection.query(
            """
            SELECT t.oid, a.attname, a.atttypid FROM pg_catalog.pg_type t
            JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE t.typtype = 'c' AND t.oid = ANY ($1::pg_catalog.oid[]) ORDER BY t.oid, a.attnum
            """, [oids], timeout: budget.next)
        var attributes: [UInt32: [TypeRow.Attribute]] = [:]
        for row in rows {
            guard row.count == 3, let oid = row[0].flatMap({ UInt32($0) }), let name = row[1],
                let typeOID = row[2].flatMap({ UInt32($0) })
            else { continue }
            attributes[oid, default: []].append(TypeRow.Attribute(name: name, typeOID: typeOID))
        }
        return attributes
    }

    /// `texts` as PostgreSQL reads an array of text.
    static func arrayLiteral(_ texts: [String]) -> String {
        let quoted = texts.map { text in
            "\"" + text.flatMap { $0 == "\"" || $0 == "\\" ? ["\\", $0] : [$0] } + "\""
        }
        return "{" + quoted.joined(separator: ",") + "}"
    }

    /// Those of `relations` that are dropped, and where the WAL ended after that was found.
    static func gone(
        among relations: [RelationID], within budget: TimeBudget, over connection: borrowing SQLConnection
    ) throws(PostgresError) -> (relations: Set<RelationID>, asOf: LSN) {
        // First what is locked: a table made by a transaction that is not shown yet is locked until it is.
        let locked = try connection.query(
            "SELECT DISTINCT relation FROM pg_catalog.pg_locks WHERE locktype = 'relation'", timeout: budget.next)
        let list = "{" + relations.map { String($0.rawValue) }.joined(separator: ",") + "}"
        let rows = try connection.query(
            """
            SELECT r.oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS r (oid)
            WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = r.oid)
            """, [list], timeout: budget.next)
        // What is not flushed yet may be shown already.
        let end = try connection.query("SELECT pg_catalog.pg_current_wal_insert_lsn()", timeout: budget.next)
        guard let lsn = end.first?.first?.flatMap({ LSN($0) }) else { return ([], .invalid) }
        func identifiers(_ rows: [[String?]]) -> Set<RelationID> {
            Set(rows.compactMap { $0.first.flatMap { $0 }.flatMap { UInt32($0) }.map { RelationID($0) } })
        }
        return (identifiers(rows).subtracting(identifiers(locked)), lsn)
    }

    private static func facts(
        of relation: RelationID, in view: CatalogueView, within budget: TimeBudget, over connection: borrowing SQLConnection
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
            """, [oid], timeout: budget.next)
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
                SELECT FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid WHERE c.relkind = 'r' AND c.relreplident <> 'f'),
                EXISTS (SELECT FROM tree WHERE oid = ANY ($2::pg_catalog.oid[]))
            """, [oid, view.hiddenList], timeout: budget.next)
        facts.hasPartitionWithoutFullIdentity = partitions.first?.first == "t"
        facts.areCertain = partitions.first?.last == "f" && !view.hidden.contains(relation.rawValue)
        return facts
    }
}
