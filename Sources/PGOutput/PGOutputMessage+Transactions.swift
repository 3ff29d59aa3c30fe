public import WAL

/// The start of a transaction that is sent whole, after its commit.
///
/// Shape: `B finalLSN: Int64, commitTimestamp: Int64, xid: Int32`.
public struct Begin: Hashable, Sendable {
    /// Start of the commit record: the `commitLSN` of the Commit to come. Never 0/0.
    public var finalLSN: LSN

    public var commitTimestamp: PostgresTimestamp
    public var xid: TransactionID

    init(_ message: RawSpan, _ offset: inout Int) throws(PGOutputError) {
        finalLSN = try message.validLSN(&offset)
        commitTimestamp = try message.timestamp(&offset)
        xid = try message.transactionID(&offset)
    }
}

/// The end of a transaction that began with `Begin`.
///
/// Shape: `C flags: Int8 (0), commitLSN: Int64, endLSN: Int64, commitTimestamp: Int64`.
public struct Commit: Hashable, Sendable {
    /// Start of the commit record. Never 0/0.
    public var commitLSN: LSN

    /// The byte after the commit record: what is confirmed once the transaction is stored. Never 0/0.
    public var endLSN: LSN

    public var commitTimestamp: PostgresTimestamp

    init(_ message: RawSpan, _ offset: inout Int) throws(PGOutputError) {
        _ = try message.flags(known: 0, &offset)
        commitLSN = try message.validLSN(&offset)
        endLSN = try message.validLSN(&offset)
        commitTimestamp = try message.timestamp(&offset)
    }
}

/// Says that the transaction was replayed here from another server. Also inside a streamed block, without an xid there.
///
/// Shape: `O commitLSN: Int64, name: String`.
public struct Origin: Hashable, Sendable {
    /// The position on the server of origin; 0/0 if the session that replayed it did not set one.
    public var commitLSN: LSN

    /// The replication origin's name; not checked to be UTF-8.
    public var name: ByteRange

    init(_ message: RawSpan, _ offset: inout Int) throws(PGOutputError) {
        commitLSN = try message.lsn(&offset)
        name = try message.string(&offset)
    }
}
