import PostgresReplication

/// The publication and its tables.
extension Finding {
    /// A table of which UPDATE and DELETE fail in the application, or will when it is published.
    package struct Unidentified: Equatable {
        package enum Fault: Equatable, CaseIterable {
            /// It has no replica identity.
            case missing
            /// A generated column that is not published is part of it.
            case generated
            /// The publication's column list or WHERE does not go with it.
            case uncovered
        }

        var name: String
        var fault: Fault
        /// What gives it one, if one statement does.
        var statement: String?

        package init(name: String, fault: Fault, statement: String?) {
            self.name = name
            self.fault = fault
            self.statement = statement
        }
    }

    /// E012, one for each fault that there is.
    package static func unidentified(_ tables: [Unidentified], arePublished: Bool) -> [Finding] {
        Unidentified.Fault.allCases.compactMap { fault in
            let found = tables.filter { $0.fault == fault }
            return found.isEmpty ? nil : unidentified(found, fault, arePublished)
        }
    }

    private static func unidentified(
        _ tables: [Unidentified], _ fault: Unidentified.Fault, _ arePublished: Bool
    ) -> Finding {
        let isOne = tables.count == 1
        let subject = isOne ? tables[0].name : "\(tables.count) tables"
        let list = isOne ? "" : " (\(ShownText.names(tables.map(\.name))))"
        let what =
            switch fault {
            case .missing: isOne ? "has no replica identity" : "have no replica identity"
            case .generated:
                isOne ? "has a generated column in its replica identity" : "have generated columns in their replica identities"
            case .uncovered:
                isOne
                    ? "has a column list or a WHERE in the publication that does not go with its replica identity"
                    : "have column lists or WHEREs in the publication that do not go with their replica identities"
            }
        let condition = arePublished ? "" : "As soon as \(isOne ? "it is" : "they are") published, "
        let remedy: String
        if fault == .uncovered {
            remedy = "Let the publication's column list hold every column of the replica identity, and its WHERE no other column"
        } else if !tables.allSatisfy({ $0.statement != nil }) {
            remedy = isOne ? "Give the table a primary key" : "Give those tables a primary key that have none, then run `slotstream setup --print-sql`"
        } else if isOne, let statement = tables[0].statement {
            remedy = "Run as the table's owner: \(statement)"
        } else {
            remedy = "Run the ALTER TABLE statements that `slotstream setup --print-sql` prints"
        }
        let publishes = "Or publish \(isOne ? "it" : "them") as \(isOne ? "it is" : "they are"): `slotstream setup --allow-no-identity`"
        return Finding(
            .noReplicaIdentity, subject, "\(subject)\(list) \(what)",
            why: "\(condition)UPDATE and DELETE of \(isOne ? "it" : "them") fail in the application",
            fix: arePublished ? remedy : "\(remedy). \(publishes)", paste: isOne ? tables[0].statement.map { .sql($0) } : nil)
    }

    /// Patterns of `source.tables` that match no table: E010 where none of them does, E011 where others do.
    /// - Parameter all: Every pattern that is configured.
    package static func unmatched(
        _ patterns: [String], of all: [String] = [], isNoneMatched: Bool, near: [String], others: [(name: String, kind: String)],
        database: String
    ) -> Finding {
        let quoted = patterns.map { "\"\($0)\"" }.joined(separator: ", ")
        let verb = patterns.count == 1 ? "matches" : "match"
        let other = others.map { " \($0.name) is \($0.kind)." }.joined()
        let there = near.isEmpty ? "Database \(database) has no table" : "Database \(database) has \(ShownText.names(near))"
        return Finding(
            isNoneMatched ? .noTableMatches : .patternMatchesNothing, "source.tables",
            "\(quoted) in source.tables \(verb) no table.\(other) \(there)",
            fix: near.isEmpty ? "Create the tables first, or correct the database in source.url" : "Correct source.tables",
            paste: corrected(all, without: patterns, near: near.first))
    }

    /// `source.tables` with the nearest table in the place of what matches none.
    private static func corrected(_ all: [String], without patterns: [String], near: String?) -> Paste? {
        // Between quotes SQL has it otherwise than the configuration.
        guard let near, !near.contains("\""), !all.isEmpty else { return nil }
        var tables: [String] = []
        for table in all.map({ patterns.contains($0) ? near : $0 }) where !tables.contains(table) { tables.append(table) }
        return .setting("source.tables = [\(tables.map { "\"\($0)\"" }.joined(separator: ", "))]")
    }

    /// There is no publication.
    /// - Parameter state: What is there, or what went wrong: a clause.
    /// - Parameter paste: What makes it.
    package static func publicationMissing(_ publication: String, state: String, paste: Paste? = nil) -> Finding {
        Finding(
            .publicationMissing, "publication \(publication)", "publication \(publication) does not exist, \(state)",
            fix: Steps.text([
                "If source.publication is wrong, correct the name and skip the other steps",
                "Create the publication again with its former tables. Changes that were made without the publication are not published",
                "Start the streamer: `slotstream run`",
            ]), paste: paste)
    }

    /// Nothing is published, and nobody asked for that.
    package static func publicationEmpty(_ publication: String) -> Finding {
        Finding(
            .publicationEmpty, "publication \(publication)", "publication \(publication) has no table", why: "no change is published",
            fix: "Run `slotstream setup`, which adds the tables of source.tables. Or set source.tables = [] if no table is to be published",
            paste: .command("slotstream setup"))
    }

    /// Tables that match and are not published: `source.tables` has changed since `setup`, or they were made since.
    /// - Parameter statement: What adds them.
    package static func tablesNotPublished(_ tables: [String], publication: String, statement: String? = nil) -> [Finding] {
        guard !tables.isEmpty else { return [] }
        return [
            Finding(
                .tablesNotPublished, "publication \(publication)",
                "publication \(publication) has not every table of source.tables: \(ShownText.names(tables)) \(tables.count == 1 ? "is" : "are") not published",
                fix: "Run `slotstream setup`, which adds \(tables.count == 1 ? "it" : "them"). Or make source.tables narrower",
                paste: statement.map { .sql($0) })
        ]
    }

    /// Partitioned tables whose events carry the names of their partitions.
    package static func publishedByPartition(_ roots: [String], publication: String) -> [Finding] {
        guard !roots.isEmpty else { return [] }
        let statement = "ALTER PUBLICATION \(quoteIdentifier(publication)) SET (publish_via_partition_root = true)"
        return [
            Finding(
                .publishedByPartition, "publication \(publication)",
                "publication \(publication) publishes \(ShownText.names(roots)) by partition", why: "the events have the partitions' names",
                fix: "For the name of the partitioned table run as the publication's owner: \(statement)", paste: .sql(statement, isByHand: true))
        ]
    }

    /// A rule of the configuration that names what is not there.
    /// - Parameter severity: `.error` where the rule is to keep something from being published.
    package static func ruleNamesNothing(_ rule: String, severity: Severity, _ what: String, fix: String) -> Finding {
        Finding(.ruleNamesNothing, severity: severity, rule, what, fix: fix)
    }

    /// Rows that were there before the slot.
    /// - Parameter count: How many, or why that is not known; a clause or in brackets.
    package static func rowsBeforeSlot(_ slot: String, _ sentence: String) -> Finding {
        Finding(.rowsBeforeSlot, "slot \(slot)", sentence, fix: "")
    }
}
