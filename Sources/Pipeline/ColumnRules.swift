import Capture
import PGOutput
import PostgresReplication

/// Watches that `[events.columns]` keeps hiding what it is meant to hide: its rules go by name, and a column can be renamed.
///
/// A column that was renamed away from its rule would go out in full. So a table that had some of its ruled columns when the
/// catalogue was asked and is described with fewer of them, while it has a column that was not there then, stops the
/// streamer before a row of it is written. Rules may name a column by its old name and its new one: one of them is there.
struct ColumnRules {
    private struct Table {
        /// All that it had when the catalogue was asked.
        var columns: Set<String>
        /// How many of them have a rule.
        var ruledCount: Int
    }

    /// By `schema.table`.
    private let names: [String: Set<String>]
    private var tables: [String: Table] = [:]
    /// Rules that no column has now, a sentence each.
    private(set) var warnings: [String] = []

    /// Looks at the tables that have rules; one that does not exist (yet) is looked at when it is described.
    /// - Throws: `.stop(.configuration)` where a table has none of the columns that its rules name, or its partitions are published under their own names.
    init(
        _ capture: CaptureConfiguration, publication: String, sql: borrowing SQLConnection
    ) throws(StreamerError) {
        var names = capture.masks.mapValues { Set($0.keys) }
        names.merge(capture.excludedColumns.mapValues { Set($0) }) { $0.union($1) }
        self.names = names
        for table in names.keys.sorted() {
            let columns: Set<String>
            let isByPartition: Bool
            do throws(PostgresError) {
                columns = try Self.columns(of: table, sql: sql)
                isByPartition = try Self.isPublishedByPartition(table, publication: publication, sql: sql)
            } catch {
                throw .postgres(error)
            }
            guard !isByPartition else {
                throw .stop(
                    .configuration,
                    what:
                        "[events.columns] names the partitioned table \(table), whose partitions publication \(publication) publishes under their own names",
                    remedy: "Name each partition, or ALTER PUBLICATION … SET (publish_via_partition_root = true)")
            }
            guard !columns.isEmpty else { continue }
            let ruled = names[table] ?? []
            let missing = ruled.subtracting(columns).sorted()
            guard missing.count < ruled.count else {
                throw .stop(
                    .configuration,
                    what:
                        "[events.columns] names \(missing.joined(separator: ", ")) of \(table), which has no such column",
                    remedy: "Correct the names: a rule for a column that is not there hides nothing")
            }
            for name in missing { warnings.append("\(table) has no column \(name)") }
            learn(table, columns: columns)
        }
    }

    /// Before a table is described for the first time that was not there at the start.
    mutating func learn(_ relation: Relation, sql: borrowing SQLConnection) throws(PostgresError) {
        let table = Self.name(of: relation)
        guard names[table] != nil, tables[table] == nil else { return }
        learn(table, columns: try Self.columns(of: table, sql: sql))
    }

    private mutating func learn(_ table: String, columns: Set<String>) {
        tables[table] = Table(columns: columns, ruledCount: columns.intersection(names[table] ?? []).count)
    }

    /// - Throws: `.stop(.configuration)` where a ruled column may have got another name.
    func require(_ relation: Relation) throws(StreamerError) {
        let table = Self.name(of: relation)
        guard let ruled = names[table], let known = tables[table] else { return }
        let described = Set(relation.columns.map(\.name))
        let strangers = described.subtracting(known.columns).subtracting(ruled).sorted()
        // Fewer, and nothing new: a column list of the publication leaves it out, or it is not there yet.
        guard described.intersection(ruled).count < known.ruledCount, !strangers.isEmpty else { return }
        throw .stop(
            .configuration,
            what:
                "\(table) no longer has the column \(ruled.subtracting(described).sorted().joined(separator: " or ")) that [events.columns] names, but has \(strangers.joined(separator: ", "))",
            remedy:
                "Nothing of it was published. If a column was renamed, name the new name beside the old one; if one was dropped, take its name out; then start again"
        )
    }

    private static func name(of relation: Relation) -> String { "\(relation.namespace).\(relation.name)" }

    private static func isPublishedByPartition(
        _ table: String, publication: String, sql: borrowing SQLConnection
    ) throws(PostgresError) -> Bool {
        let rows = try sql.query(
            """
            SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_catalog.pg_publication p ON p.pubname = $2 AND NOT p.pubviaroot
            WHERE n.nspname || '.' || c.relname = $1 AND c.relkind = 'p'
            """, [table, publication], timeout: CatalogueReader.timeout)
        return !rows.isEmpty
    }

    /// None: there is no such table.
    private static func columns(
        of table: String, sql: borrowing SQLConnection
    ) throws(PostgresError) -> Set<String> {
        let rows = try sql.query(
            """
            SELECT a.attname FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE n.nspname || '.' || c.relname = $1
            """, [table], timeout: CatalogueReader.timeout)
        return Set(rows.compactMap { $0.first.flatMap { $0 } })
    }
}
