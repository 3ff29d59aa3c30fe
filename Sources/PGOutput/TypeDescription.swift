public import WAL

/// The name of a type that is not built in, sent before a relation that uses it.
///
/// A domain comes with its own OID and the schema and name of the type that it is over in the end: the wire does not
/// tell the domain's name.
///
/// Shape: `Y [xid: Int32], oid: Int32, namespace: String, name: String`.
public struct TypeDescription: Hashable, Sendable {
    /// nil outside a streamed block.
    public var streamedXID: TransactionID?

    /// What `RelationColumn.typeOID` names.
    public var oid: UInt32

    /// The schema. The wire's empty string is given as `pg_catalog`.
    public var namespace: String

    public var name: String

    init(_ message: RawSpan, inStream: Bool, _ offset: inout Int) throws(PGOutputError) {
        streamedXID = try message.streamedXID(inStream: inStream, &offset)
        oid = try message.integer(UInt32.self, &offset)
        namespace = try message.namespace(&offset)
        name = try message.name(&offset)
    }
}
