/// A table that the operator named in `[events]`, with the columns that were named of it.
public struct RuledTable: Sendable, Equatable {
    /// Where a table is named.
    public enum Section: Sendable, Equatable {
        /// Columns that are left out or masked.
        case columns
        /// The columns of `entity_id`.
        case identity
        /// The table's entity; no columns.
        case entities
    }

    public struct Column: Sendable, Equatable {
        public var name: String
        /// Named for rows from before it was dropped, renamed or added.
        public var mayBeAbsent: Bool

        public init(name: String, mayBeAbsent: Bool) {
            self.name = name
            self.mayBeAbsent = mayBeAbsent
        }
    }

    public var section: Section
    /// `schema.table`.
    public var name: String
    /// Named before it is made, or for rows from before it was renamed.
    public var mayBeAbsent: Bool
    public var columns: [Column]

    public init(section: Section = .columns, name: String, mayBeAbsent: Bool, columns: [Column]) {
        self.section = section
        self.name = name
        self.mayBeAbsent = mayBeAbsent
        self.columns = columns
    }
}

extension RuledTable.Section: CustomStringConvertible {
    /// As the file has it.
    public var description: String {
        switch self {
        case .columns: "[events.columns]"
        case .identity: "[events.identity]"
        case .entities: "[events.entities]"
        }
    }
}
