/// A table that the operator named in `[events]`, with the columns that were named of it.
package struct RuledTable: Sendable, Equatable {
    /// Where a table is named.
    package enum Section: Sendable, Equatable {
        /// Columns that are left out or masked.
        case columns
        /// The columns of `entity_id`.
        case identity
        /// The table's entity; no columns.
        case entities
    }

    package struct Column: Sendable, Equatable {
        package var name: String
        /// Named for rows from before it was dropped, renamed or added.
        package var mayBeAbsent: Bool

        package init(name: String, mayBeAbsent: Bool) {
            self.name = name
            self.mayBeAbsent = mayBeAbsent
        }
    }

    package var section: Section
    /// `schema.table`.
    package var name: String
    /// Named before it is made, or for rows from before it was renamed.
    package var mayBeAbsent: Bool
    package var columns: [Column]

    package init(section: Section = .columns, name: String, mayBeAbsent: Bool, columns: [Column]) {
        self.section = section
        self.name = name
        self.mayBeAbsent = mayBeAbsent
        self.columns = columns
    }
}

extension RuledTable.Section: CustomStringConvertible {
    /// As the file has it.
    package var description: String {
        switch self {
        case .columns: "[events.columns]"
        case .identity: "[events.identity]"
        case .entities: "[events.entities]"
        }
    }
}
