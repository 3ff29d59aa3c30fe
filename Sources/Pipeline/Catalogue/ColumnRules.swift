import History
import PGOutput
import PostgresReplication
import WAL

/// Watches that `[events.columns]` keeps hiding what it is meant to hide: its rules go by name, and tables and columns are renamed.
///
/// Whatever could be a ruled column under another name stops the streamer before a row of it is written: a table that is described
/// without a column that has a rule, and a table without rules that is, was or belongs to one that has some. What the operator
/// marked with `?` may be absent. Names are compared by their bytes, as PostgreSQL does.
///
/// The rules of `[events.identity]` and `[events.entities]` hide nothing: at the start it is told where they name what is not there.
struct ColumnRules: Sendable {
    private typealias Name = [UInt8]

    /// One of the tables that have a name.
    private struct Found {
        var relationID: RelationID
        /// With quotes where they are needed: two tables may share the name without them.
        var quotedName: String
    }

    private struct Table {
        var rule: RuledTable
        /// nil: there is none of that name now.
        var relationID: RelationID?
    }

    /// What the catalogue says of a relation now.
    private struct Known {
        var columns: Set<Name> = []
        /// Whether the publication names some of its columns only.
        var hasColumnList = false
        /// pgoutput describes them or not, as version and publication have it.
        var generatedColumns: Set<Name> = []
        /// The table's own name now, its roots' and its partitions'.
        var relatives: [String] = []
        /// Those among them under which the publication publishes rows; none: it publishes none of them now.
        var publishedNames: [String] = []
    }

    private let publication: String
    /// Those of `[events.columns]`.
    private var tables: [Name: Table] = [:]

    /// What `[events.identity]` and `[events.entities]` name that is not there, a sentence each.
    private(set) var notes: [String] = []

    /// Looks at the tables that have rules.
    /// - Throws: `.stop(.configuration)` where a table or a column that `[events.columns]` names is not there, where two tables have the name, or the table is not published under its own name.
    init(_ ruled: [RuledTable], publication: String, sql: borrowing SQLConnection) throws(StreamerError) {
        self.publication = publication
        let relations = try StreamerError.ofPostgres { () throws(PostgresError) in
            try Self.relations(named: ruled.map(\.name), sql: sql)
        }
        for rule in ruled {
            let found = relations[Array(rule.name.utf8)] ?? []
            var known = Known()
            do throws(PostgresError) {
                if let first = found.first {
                    known = try Self.known(
                        of: first.relationID, publication: publication, timeout: { CatalogueReader.timeout }, sql: sql)
                }
            } catch {
                throw .postgres(error)
            }
            let fault = fault(in: rule, found, known)
            guard rule.section == .columns else {
                if let fault { notes.append("\(fault.what): correct the name, or add ? to the name of what may be absent") }
                continue
            }
            if let fault { throw Self.refused(fault.what, fault.remedy) }
            tables[Array(rule.name.utf8)] = Table(rule: rule, relationID: found.first?.relationID)
        }
    }

    /// In what a rule is not for what it names; nil: it is.
    private func fault(in rule: RuledTable, _ found: [Found], _ known: Known) -> (what: String, remedy: String)? {
        if found.count > 1 {
            let names = found.map(\.quotedName).joined(separator: " and ")
            return ("\(rule.section) names \(rule.name), but two tables have this name: \(names)", Self.nameRemedy)
        }
        if found.isEmpty {
            return rule.mayBeAbsent
                ? nil : ("\(rule.section) names the table \(rule.name), which does not exist", Self.tableRemedy)
        }
        let absent = rule.columns.filter { !$0.mayBeAbsent && !known.columns.contains(Array($0.name.utf8)) }
        guard absent.isEmpty else {
            let names = absent.map(\.name).sorted().joined(separator: ", ")
            return ("\(rule.section) names \(names) of \(rule.name), but the table has no such column", Self.columnRemedy)
        }
        // One that is called so itself: its mark would be taken for the operator's.
        let own = rule.columns.first { column in
            let name = Array(column.name.utf8)
            return column.mayBeAbsent && !known.columns.contains(name) && known.columns.contains(name + [UInt8(ascii: "?")])
        }
        if let own {
            return (
                "\(rule.section) names \(own.name) of \(rule.name), which is absent, but the table has a column with the name \(own.name)?",
                "Nothing of the table was published. If the rule means this column, add a second mark: \"\(own.name)??\""
            )
        }
        // A partitioned table that is published by its partitions, or a partition that is published by its root, has its rows under a name that the rule is not for.
        let isOwn = known.publishedNames.contains { $0.utf8.elementsEqual(rule.name.utf8) }
        if known.publishedNames.isEmpty || isOwn { return nil }
        return (
            "publication \(publication) publishes the rows of \(rule.name) as \(known.publishedNames.sorted().joined(separator: ", ")), but \(rule.section) has no rules for that name",
            Self.tableRemedy
        )
    }

    /// Whether no table has rules.
    var isEmpty: Bool { tables.isEmpty }

    /// Why no row of `relation` may be written, if none may: a ruled column may have another name.
    ///
    /// - Parameter view: What is shown of the transaction that is being read.
    /// - Throws: what the connection throws.
    func refusal(
        of relation: Relation, in view: CatalogueView, within budget: TimeBudget, sql: borrowing SQLConnection
    ) throws(PostgresError) -> StreamerError? {
        guard !tables.isEmpty else { return nil }
        let name = relation.qualifiedName
        let rule = tables[Array(name.utf8)]?.rule
        let described = Set(relation.columns.map { Array($0.name.utf8) })
        var absent = rule?.columns.filter { !$0.mayBeAbsent && !described.contains(Array($0.name.utf8)) } ?? []
        if rule != nil, absent.isEmpty { return nil }
        let known = try Self.known(of: relation.id, publication: publication, timeout: { budget.next }, sql: sql)
        guard rule != nil else {
            let isRuled = tables.values.contains { $0.relationID == relation.id }
            let relative = known.relatives.first { tables[Array($0.utf8)] != nil }
            guard isRuled || relative != nil else {
                guard view.hidden.contains(relation.id.rawValue),
                    let ruled = tables.values.first(where: { view.hidden.contains($0.relationID?.rawValue ?? 0) })
                else { return nil }
                // One is made the other's partition or child by a transaction that holds a lock on both.
                return Self.refused(
                    "\(name) has no rules, but a transaction that PostgreSQL does not show yet may have made the table a part of \(ruled.rule.name), which has rules in [events.columns]",
                    Self.tableRemedy)
            }
            return Self.refused(
                "\(name) has no rules, but \(relative ?? "the same table under another name") has rules in [events.columns]",
                Self.tableRemedy)
        }
        absent.removeAll { known.generatedColumns.contains(Array($0.name.utf8)) }
        if absent.isEmpty { return nil }
        // A column list of the publication leaves it out: the table still has it, and nothing that was described is strange.
        if known.hasColumnList, described.isSubset(of: known.columns),
            absent.allSatisfy({ known.columns.contains(Array($0.name.utf8)) })
        {
            return nil
        }
        return Self.refused(
            "\(name) comes without the column \(absent.map(\.name).sorted().joined(separator: ", ")), which [events.columns] names",
            Self.columnRemedy)
    }

    private static let start = "Start the streamer: `slotstream run`"

    private static let columnRemedy = Steps.text(
        "Nothing of the table was published",
        [
            "Correct the column's name in [events.columns]. For a column that was dropped, renamed or is not added yet, add ? to the name (\"email?\") and add the other name",
            start,
        ])

    private static let tableRemedy = Steps.text(
        "Nothing of the table was published",
        [
            "Set the table's published name in [events.columns]. For a table that was renamed or is not made yet, add ? to the name (\"public.tb_user?\") and add the other name. For a partitioned table, set publish_via_partition_root on the publication, or write a rule for each partition",
            start,
        ])

    private static let nameRemedy = Steps.text(
        "Nothing of the tables was published",
        ["Rename one of the two tables: schema and name, joined with a dot, are the same", start])

    private static func refused(_ what: String, _ remedy: String) -> StreamerError {
        .stop(.configuration, what: what, remedy: remedy)
    }

    /// The tables of these names, all by one look at the catalogue.
    private static func relations(
        named names: [String], sql: borrowing SQLConnection
    ) throws(PostgresError) -> [Name: [Found]] {
        guard !names.isEmpty else { return [:] }
        let rows = try sql.query(
            """
            SELECT c.oid, pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(c.relname)),
                pg_catalog.concat(n.nspname, '.', c.relname)
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE pg_catalog.concat(n.nspname, '.', c.relname) OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[])
                AND c.relkind IN ('r', 'p')
            ORDER BY c.oid
            """, [CatalogueReader.arrayLiteral(names)], timeout: CatalogueReader.timeout)
        var found: [Name: [Found]] = [:]
        for row in rows {
            guard row.count == 3, let oid = row[0].flatMap({ UInt32($0) }), let quotedName = row[1], let name = row[2] else {
                continue
            }
            found[Array(name.utf8), default: []].append(Found(relationID: RelationID(oid), quotedName: quotedName))
        }
        return found
    }

    private static func known(
        of relationID: RelationID, publication: String, timeout: () -> Duration, sql: borrowing SQLConnection
    ) throws(PostgresError) -> Known {
        let oid = String(relationID.rawValue)
        var known = Known()
        let columns = try sql.query(
            """
            SELECT a.attname, a.attgenerated <> '' FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped
            """, [oid], timeout: timeout())
        for column in columns {
            guard column.count == 2, let name = column[0] else { continue }
            known.columns.insert(Array(name.utf8))
            if column[1] == "t" { known.generatedColumns.insert(Array(name.utf8)) }
        }
        // By pg_inherits and not by pg_partition_tree, which waits for the locks of partitions that somebody alters.
        let relatives = try sql.query(
            """
            WITH RECURSIVE up (oid) AS (
                SELECT $1::pg_catalog.oid UNION SELECT i.inhparent FROM pg_catalog.pg_inherits i JOIN up ON i.inhrelid = up.oid),
            down (oid) AS (
                SELECT $1::pg_catalog.oid UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN down ON i.inhparent = down.oid),
            \(PublishedTables.parts(candidates: "SELECT oid FROM up UNION SELECT oid FROM down", publication: "$2"))
            SELECT pg_catalog.concat(n.nspname, '.', c.relname),
                EXISTS (SELECT FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
                        WHERE p.pubname = $2 AND r.prrelid = c.oid AND r.prattrs IS NOT NULL),
                EXISTS (SELECT FROM published t WHERE t.oid = c.oid)
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.oid IN (SELECT oid FROM candidate)
            """, [oid, publication], timeout: timeout())
        for relative in relatives {
            guard relative.count == 3, let name = relative[0] else { continue }
            known.relatives.append(name)
            if relative[1] == "t" { known.hasColumnList = true }
            if relative[2] == "t" { known.publishedNames.append(name) }
        }
        return known
    }
}
