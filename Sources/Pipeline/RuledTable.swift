/// A table with columns that are left out or masked, as the operator named it.
public struct RuledTable: Sendable, Equatable {
    public struct Column: Sendable, Equatable {
        public var name: String
        /// Named for rows from before it was dropped, renamed or added.
        public var mayBeAbsent: Bool

        public init(name: String, mayBeAbsent: Bool) {
            self.name = name
            self.mayBeAbsent = mayBeAbsent
        }
    }

    /// `schema.table`.
    public var name: String
    /// Named before it is made, or for rows from before it was renamed.
    public var mayBeAbsent: Bool
    public var columns: [Column]

    public init(name: String, mayBeAbsent: Bool, columns: [Column]) {
        self.name = name
        self.mayBeAbsent = mayBeAbsent
        self.columns = columns
    }
}
