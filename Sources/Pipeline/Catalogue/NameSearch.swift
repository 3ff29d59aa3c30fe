import Capture

/// Finds the entity or the operation that somebody means who writes its name otherwise: `customers`, or the table's name, for `Customers`.
package enum NameSearch {
    /// What a search came to.
    package enum Found: Sendable, Equatable {
        /// The name as it was given; or nobody can know better.
        case exactly
        /// The only one that is written alike.
        case alike(String)
        /// Several are written alike.
        case ambiguous([String])
        /// None is; these are there.
        case absent([String])
    }

    /// Operations that an event of any table may have, and those of markers.
    static let operations = ReservedEntity.operations.union(["INSERT", "UPDATE", "DELETE", "TRUNCATE", "READ"])

    /// The forms in which `name` may be meant, folded: as an entity, and as a table's name with or without its schema.
    /// - Parameter entities: By `schema.table`, those that the operator chose.
    static func forms(ofEntity name: String, _ tablePrefixes: [String], _ entities: [String: String] = [:]) -> Set<String> {
        let table = table(of: name)
        let chosen = entities.filter { folded($0.key) == folded(name) || folded(Self.table(of: $0.key)) == folded(name) }
        return Set([name, SubjectFilter.entity(ofTable: table, prefixes: tablePrefixes)].map(folded) + chosen.values.map(folded))
    }

    /// The last part of `schema.table`.
    private static func table(of name: String) -> String { name.split(separator: ".").last.map(String.init) ?? name }

    /// - Parameters:
    ///   - forms: Folded.
    ///   - isWhole: Whether `names` are all that there are.
    static func find(_ forms: Set<String>, among names: Set<String>, isWhole: Bool) -> Found {
        let alike = names.filter { forms.contains(folded($0)) }.sorted()
        if let only = alike.first { return alike.count == 1 ? .alike(only) : .ambiguous(alike) }
        // In an empty stream there is nothing to be mistaken about.
        return names.isEmpty || !isWhole ? .exactly : .absent(names.sorted())
    }

    /// Without regard to case.
    static func folded(_ name: String) -> String { name.lowercased() }
}
