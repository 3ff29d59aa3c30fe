public import WAL

/// What only the database can say of a value, asked while an event is written. Rare types only; it may block the thread that owns the connection.
public protocol CatalogueAuthority: AnyObject {
    /// The value's text cast to its type and that to json.
    func json(of text: String, castFrom typeOID: UInt32) -> CastAnswer

    /// Looks again what `typeOIDs`, those of a relation's columns, are made of. What `transactionID` may have changed unseen becomes unknown.
    /// - Returns: false if the database could not be asked.
    func refresh(
        _ types: inout TypeCatalogue, of transactionID: TransactionID, for relationID: RelationID, _ typeOIDs: [UInt32]
    ) -> Bool
}

/// What became of a value's cast to json.
public enum CastAnswer: Sendable, Equatable {
    case json(String)
    /// Type or cast have been dropped since.
    case unknown
    /// The cast failed, whatever for, or is not called: it is somebody's own code.
    case failed
    /// The database could not be asked.
    case unavailable
}
