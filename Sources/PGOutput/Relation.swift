public import WAL

/// A relation's published columns, sent before its first row on a connection and again after it changed.
///
/// Shape: `R [xid: Int32], id: Int32, namespace: String, name: String, replicaIdentity: Byte1, columnCount: Int16,
/// columns`.
///
/// Inside a streamed block it holds for the rows of that top-level transaction. PostgreSQL sends it again after a
/// Stream Abort of that transaction or of one of its subtransactions; after the Stream Commit it holds for all and is
/// not sent again (`cleanup_rel_sync_cache` in pgoutput.c).
public struct Relation: Hashable, Sendable {
    /// nil outside a streamed block.
    public var streamedXID: TransactionID?

    public var id: RelationID

    /// The schema. The wire's empty string is given as `pg_catalog`.
    public var namespace: String

    public var name: String
    public var replicaIdentity: ReplicaIdentity

    /// In the order of the tuples' columns; fewer than the table has where the publication lists columns.
    public var columns: [RelationColumn]

    /// `schema.table`, as rules and errors name it. Not unique: one of the two may have a dot inside.
    public var qualifiedName: String { "\(namespace).\(name)" }

    /// As the catalogue describes it, for rows that come another way.
    public init(id: RelationID, namespace: String, name: String, replicaIdentity: ReplicaIdentity, columns: [RelationColumn]) {
        self.id = id
        self.namespace = namespace
        self.name = name
        self.replicaIdentity = replicaIdentity
        self.columns = columns
    }

    init(_ message: RawSpan, inStream: Bool, _ offset: inout Int) throws(PGOutputError) {
        streamedXID = try message.streamedXID(inStream: inStream, &offset)
        id = RelationID(try message.integer(UInt32.self, &offset))
        namespace = try message.namespace(&offset)
        name = try message.name(&offset)
        let identity = try message.integer(UInt8.self, &offset)
        guard let replicaIdentity = ReplicaIdentity(rawValue: identity) else {
            throw .unknownTag(identity, offset: offset - 1)
        }
        self.replicaIdentity = replicaIdentity
        let columnCount = Int(try message.integer(UInt16.self, &offset))
        // Before reserving: the count is the sender's word.
        try message.require(columnCount * RelationColumn.minimumByteCount, at: offset)
        columns = []
        columns.reserveCapacity(columnCount)
        for _ in 0..<columnCount {
            columns.append(try RelationColumn(message, &offset))
        }
    }
}

/// One column of a relation.
///
/// Shape: `flags: Int8 (1 = part of the key), name: String, typeOID: Int32, typeModifier: Int32`.
public struct RelationColumn: Hashable, Sendable {
    /// Part of the replica identity; every column is, under identity FULL.
    public var isKey: Bool

    public var name: String
    public var typeOID: UInt32

    /// `atttypmod`, for instance the length of a `varchar` plus 4; -1 for none.
    public var typeModifier: Int32

    /// Flags, an empty name's NUL, and two integers.
    static let minimumByteCount = 10

    public init(isKey: Bool, name: String, typeOID: UInt32, typeModifier: Int32) {
        self.isKey = isKey
        self.name = name
        self.typeOID = typeOID
        self.typeModifier = typeModifier
    }

    init(_ message: RawSpan, _ offset: inout Int) throws(PGOutputError) {
        isKey = try message.flags(known: 1, &offset) == 1
        name = try message.name(&offset)
        typeOID = try message.integer(UInt32.self, &offset)
        typeModifier = try message.integer(Int32.self, &offset)
    }
}

/// What identifies a row of a relation in UPDATE and DELETE (`pg_class.relreplident`); the raw values are its letters.
public enum ReplicaIdentity: UInt8, Hashable, Sendable {
    /// `d`: the primary key, if there is one.
    case `default` = 0x64

    /// `n`: nothing; then neither UPDATE nor DELETE can be published.
    case nothing = 0x6E

    /// `f`: all columns.
    case full = 0x66

    /// `i`: the index chosen with REPLICA IDENTITY USING INDEX.
    case index = 0x69
}
