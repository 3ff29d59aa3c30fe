import Pipeline

/// A table or a column as a rule names it: a `?` at its end says that it may be absent. One that is called so itself needs a second `?`.
struct RuleName: Equatable {
    let name: String
    let mayBeAbsent: Bool

    init(_ text: String) {
        // By bytes: a character that joins what follows it would hide the mark.
        mayBeAbsent = text.utf8.last == UInt8(ascii: "?") && text.utf8.count > 1
        name = mayBeAbsent ? String(decoding: text.utf8.dropLast(), as: UTF8.self) : text
    }
}

extension Configuration.Events {
    /// `entities` by the names themselves. Of one name with and without the mark, the one without counts.
    var entityNames: [String: String] {
        Dictionary(
            entities.sorted { $0.key < $1.key }.map { (RuleName($0.key).name, $0.value) },
            uniquingKeysWith: { first, _ in first })
    }

    /// `identity` by the names themselves: either the columns that may be absent, or those that may not. Every table is in both.
    func identityNames(mayBeAbsent: Bool) -> [String: [String]] {
        Dictionary(
            identity.sorted { $0.key < $1.key }.map { table, columns in
                let names = columns.map { RuleName($0) }.filter { $0.mayBeAbsent == mayBeAbsent }
                return (RuleName(table).name, names.map(\.name))
            }, uniquingKeysWith: +)
    }

    /// `excludedColumns` by the names themselves.
    var excludedNames: [String: [String]] {
        Dictionary(
            excludedColumns.map { (RuleName($0.key).name, $0.value.map { RuleName($0).name }) },
            uniquingKeysWith: +)
    }

    /// `masks` by the names themselves. Of one name with and without the mark, the one without counts.
    var maskedNames: [String: [String: Configuration.ColumnMask]] {
        Dictionary(
            masks.sorted { $0.key < $1.key }.map { table, columns in
                let named = columns.sorted { $0.key < $1.key }.map { (RuleName($0.key).name, $0.value) }
                return (RuleName(table).name, Dictionary(named, uniquingKeysWith: { first, _ in first }))
            }, uniquingKeysWith: { first, second in first.merging(second) { first, _ in first } })
    }

    /// Every table that has rules, with the columns that they name, a section's tables in the order of their names.
    var ruledTables: [RuledTable] {
        var hidden: [NamedColumns] = excludedColumns.map { ($0.key, $0.value) }
        for (table, columns) in masks { hidden.append((table, Array(columns.keys))) }
        return Self.ruled(.columns, hidden) + Self.ruled(.identity, identity.map { ($0.key, $0.value) })
            + Self.ruled(.entities, entities.keys.map { ($0, []) })
    }

    private typealias NamedColumns = (table: String, columns: [String])

    /// A table that is named with and without the mark is one, and not marked.
    private static func ruled(_ section: RuledTable.Section, _ named: [NamedColumns]) -> [RuledTable] {
        let tables = Dictionary(grouping: named) { Array(RuleName($0.table).name.utf8) }
        return tables.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { name, entries in
            RuledTable(
                section: section, name: String(decoding: name, as: UTF8.self),
                mayBeAbsent: entries.allSatisfy { RuleName($0.table).mayBeAbsent },
                columns: entries.flatMap(\.columns).map { column in
                    let name = RuleName(column)
                    return RuledTable.Column(name: name.name, mayBeAbsent: name.mayBeAbsent)
                })
        }
    }
}
