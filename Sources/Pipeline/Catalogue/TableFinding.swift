import History
import PostgresReplication

/// What is wrong with the tables that are published, or were to be: an id of `slotstream check`'s, what is the matter, and what to do.
struct TableFinding: Sendable, Equatable {
    /// Stable: `E012`. E is refused where it can be, W is told.
    var id: String
    /// A sentence, without its full stop.
    var message: String
    /// One or more sentences, without the last full stop.
    var remedy: String

    /// Both, as a note says them.
    var note: String { "\(message). \(remedy)" }

    /// What refuses to go on for these.
    static func refusal(_ findings: [TableFinding]) -> StreamerError {
        .stop(
            .configuration, what: findings.map(\.message).joined(separator: ". "),
            remedy: findings.map(\.remedy).joined(separator: ". "))
    }

    // MARK: - E012

    /// Tables whose UPDATE and DELETE fail in the application, or will when they are published; nil: none is among them.
    static func unidentified(_ tables: [PublicationContents.Table], arePublished: Bool) -> [TableFinding] {
        let missing = tables.filter { if case .missing? = $0.identity { true } else { false } }
        let generated = tables.filter { if case .generated? = $0.identity { true } else { false } }
        let uncovered = tables.filter { $0.identity == .uncovered }
        return [
            (missing, missing.count == 1 ? "has no replica identity" : "have no replica identity"),
            (
                generated,
                generated.count == 1
                    ? "has a generated column in its replica identity" : "have generated columns in their replica identities"
            ),
            (
                uncovered,
                uncovered.count == 1
                    ? "has a column list or a WHERE in the publication that does not go with its replica identity"
                    : "have column lists or WHEREs in the publication that do not go with their replica identities"
            ),
        ].filter { !$0.0.isEmpty }.map { tables, what in unidentified(tables, what, arePublished) }
    }

    private static func unidentified(
        _ tables: [PublicationContents.Table], _ what: String, _ arePublished: Bool
    ) -> TableFinding {
        let isOne = tables.count == 1
        let subject = isOne ? tables[0].name : "\(tables.count) tables"
        let list = isOne ? "" : " (\(ShownText.names(tables.map(\.name))))"
        let condition = arePublished ? "" : "As soon as \(isOne ? "it is" : "they are") published, "
        let remedy: String
        if tables.contains(where: { $0.identity == .uncovered }) {
            remedy = "Let the publication's column list hold every column of the replica identity, and its WHERE no other column"
        } else if !tables.allSatisfy({ $0.identityStatement != nil }) {
            remedy = isOne ? "Give the table a primary key" : "Give those tables a primary key that have none, then run `slotstream setup --print-sql`"
        } else if isOne, let statement = tables[0].identityStatement {
            remedy = "Run as the table's owner: \(statement)"
        } else {
            remedy = "Run the ALTER TABLE statements that `slotstream setup --print-sql` prints"
        }
        return TableFinding(
            id: "E012",
            message: "\(subject)\(list) \(what). \(condition)UPDATE and DELETE of \(isOne ? "it" : "them") fail in the application",
            remedy: remedy + (arePublished ? "" : ". Or publish \(isOne ? "it" : "them") as \(isOne ? "it is" : "they are"): `slotstream setup --allow-no-identity`"))
    }

    // MARK: - E010, E011, E017

    /// Patterns of `source.tables` that match no table.
    static func unmatched(
        _ patterns: [String], isNoneMatched: Bool, near: [String], others: [(name: String, kind: String)], database: String
    ) -> TableFinding {
        let quoted = patterns.map { "\"\($0)\"" }.joined(separator: ", ")
        let verb = patterns.count == 1 ? "matches" : "match"
        let other = others.map { " \($0.name) is \($0.kind)." }.joined()
        let there = near.isEmpty ? "Database \(database) has no table" : "Database \(database) has \(ShownText.names(near))"
        return TableFinding(
            id: isNoneMatched ? "E010" : "E011",
            message: "\(quoted) in source.tables \(verb) no table.\(other) \(there)",
            remedy: near.isEmpty
                ? "Create the tables first, or correct the database in source.url" : "Correct source.tables")
    }

    /// Nothing is published, and nobody asked for that.
    static func empty(_ publication: String) -> TableFinding {
        TableFinding(
            id: "E017", message: "publication \(publication) has no table: no change is published",
            remedy:
                "Run `slotstream setup`, which adds the tables of source.tables. Or set source.tables = [] if no table is to be published")
    }

    // MARK: - W018

    /// Tables that match and are not published: `source.tables` has changed since `setup`, or they were made since.
    static func missing(_ tables: [String], publication: String) -> [TableFinding] {
        guard !tables.isEmpty else { return [] }
        return [
            TableFinding(
                id: "W018",
                message: "publication \(publication) has not every table of source.tables: \(ShownText.names(tables)) \(tables.count == 1 ? "is" : "are") not published",
                remedy: "Run `slotstream setup`, which adds \(tables.count == 1 ? "it" : "them"). Or make source.tables narrower")
        ]
    }

    // MARK: - W020

    /// Partitioned tables whose events carry the names of their partitions.
    static func byPartition(_ roots: [PublicationContents.Table], publication: String) -> [TableFinding] {
        guard !roots.isEmpty else { return [] }
        let names = ShownText.names(roots.map(\.name))
        return [
            TableFinding(
                id: "W020",
                message: "publication \(publication) publishes \(names) by partition: the events have the partitions' names",
                remedy:
                    "For the name of the partitioned table run as the publication's owner: ALTER PUBLICATION \(quoteIdentifier(publication)) SET (publish_via_partition_root = true)")
        ]
    }
}
