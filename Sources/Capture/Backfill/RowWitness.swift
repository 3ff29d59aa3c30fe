public import WAL

/// What was decoded of a row of a table that somebody watches, whether it goes out or is stored already.
public struct RowChange: Sendable, Equatable {
    public var relation: RelationID
    public var transactionID: TransactionID
    public var position: Position
    /// The row's key behind the change; nil: there is no row any more, or its key is not known.
    public var key: RowKey?
    /// The key that the row had, where it has another now, or the row is gone; nil: none was told.
    public var oldKey: RowKey?
    /// The row's event has each of its columns.
    public var isWhole: Bool
    /// One of the keys that there must be is not known.
    public var isKeyUnknown: Bool
}

/// Watches the rows of some tables as they are decoded: whoever reads those tables beside the stream has to know what a snapshot does not show.
///
/// It is called on the thread that reads, for each row of a watched table, in the order of the stream.
public protocol RowWitness: AnyObject {
    /// The columns by which the rows of a relation are told apart, by name; empty: it has no key; nil: nobody watches it.
    func keyColumns(of relation: RelationID) -> [String]?
    func changed(_ change: RowChange)
    /// All rows of a relation went at once.
    func truncated(_ relation: RelationID, by transactionID: TransactionID, at position: Position)
}
