/// What the catalogue says of a table now, beyond its description in the stream.
public struct TableFacts: Equatable, Sendable {
    /// The primary key's columns; empty: there is none.
    public var primaryKey: [String]
    /// The columns of the index that `REPLICA IDENTITY USING INDEX` names; empty: it names none.
    public var identityIndex: [String]
    /// Under a root (`publish_via_partition_root`) that has FULL there is a partition that has not: what is logged is the partition's
    /// identity, and the rest of its old rows is sent as null, marked as the root's whole row.
    public var hasPartitionWithoutFullIdentity: Bool
    /// False: the transaction that is being read may have changed them, and PostgreSQL cannot show that yet.
    public var areCertain: Bool

    public init(
        primaryKey: [String] = [], identityIndex: [String] = [], hasPartitionWithoutFullIdentity: Bool = false,
        areCertain: Bool = true
    ) {
        self.primaryKey = primaryKey
        self.identityIndex = identityIndex
        self.hasPartitionWithoutFullIdentity = hasPartitionWithoutFullIdentity
        self.areCertain = areCertain
    }
}
