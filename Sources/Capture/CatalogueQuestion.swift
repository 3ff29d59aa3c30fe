public import PGOutput
public import WAL

/// What only the database can say, and has to before a message can be taken.
public enum CatalogueQuestion: Sendable, Equatable {
    /// What belongs to a relation beyond its description. `needsFacts`: the table's facts too; else its columns' types only.
    case description(of: Relation, needsFacts: Bool)
    /// What these types, those of a relation's columns, are made of now.
    case types(of: RelationID, [UInt32])
    /// What becomes of these values of the next row: each one's text cast to its type and that to json.
    case casts([CastRequest])
}

/// What was found, to the question that has the same name.
public enum CatalogueAnswer: Sendable {
    case description(TableDescription)
    /// What nobody can tell is unknown in it.
    case types(TypeCatalogue)
    /// One for each request, in their order.
    case casts([CastAnswer])
}

/// What the catalogue says of a relation beyond its description in the stream.
public struct TableDescription: Sendable {
    /// Its columns' types and what they are made of.
    public var types: TypeCatalogue
    public var facts: TableFacts
    /// None of its rows may be handed on: one that is not stored yet throws `.relationRefused`. A relation can be described that no row follows.
    public var isRefused: Bool

    public init(types: TypeCatalogue = TypeCatalogue(), facts: TableFacts = TableFacts(), isRefused: Bool = false) {
        self.types = types
        self.facts = facts
        self.isRefused = isRefused
    }
}

/// A value of a type that has a cast to json of its own.
public struct CastRequest: Sendable, Hashable {
    public var typeOID: UInt32
    public var text: String

    public init(typeOID: UInt32, text: String) {
        self.typeOID = typeOID
        self.text = text
    }
}

/// What became of a value's cast to json.
public enum CastAnswer: Sendable, Equatable {
    case json(String)
    /// Type or cast have been dropped since.
    case unknown
    /// The cast failed, whatever for, or is not called: it is somebody's own code.
    case failed
}
