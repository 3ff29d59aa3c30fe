public import WAL

/// The start of a block of a transaction that is still running. The messages up to Stream Stop carry an xid each.
///
/// Shape: `S xid: Int32, isFirstSegment: Int8 (0 or 1)`.
public struct StreamStart: Hashable, Sendable {
    /// The top-level transaction; the messages of the block carry the xid of their subtransaction.
    public var xid: TransactionID

    public var isFirstSegment: Bool

    init(_ message: RawSpan, _ offset: inout Int) throws(PGOutputError) {
        xid = try message.transactionID(&offset)
        isFirstSegment = try message.flags(known: 1, &offset) == 1
    }
}

/// The commit of a streamed transaction.
///
/// Shape: `c xid: Int32, flags: Int8 (0), commitLSN: Int64, endLSN: Int64, commitTimestamp: Int64`.
public struct StreamCommit: Hashable, Sendable {
    public var xid: TransactionID

    /// Start of the commit record. Never 0/0.
    public var commitLSN: LSN

    /// The byte after the commit record. Never 0/0.
    public var endLSN: LSN

    public var commitTimestamp: PostgresTimestamp

    init(_ message: RawSpan, _ offset: inout Int) throws(PGOutputError) {
        xid = try message.transactionID(&offset)
        _ = try message.flags(known: 0, &offset)
        commitLSN = try message.validLSN(&offset)
        endLSN = try message.validLSN(&offset)
        commitTimestamp = try message.timestamp(&offset)
    }
}

/// The abort of a streamed transaction (`xid == subxid`), or of one of its subtransactions alone.
///
/// Shape: `A xid: Int32, subxid: Int32`, and with `streaming 'parallel'` (version 4) also `abortLSN: Int64,
/// abortTimestamp: Int64`.
public struct StreamAbort: Hashable, Sendable {
    public var xid: TransactionID
    public var subxid: TransactionID

    /// nil in the short shape.
    public var abortLSN: LSN?

    /// nil in the short shape.
    public var abortTimestamp: PostgresTimestamp?

    init(_ message: RawSpan, _ offset: inout Int) throws(PGOutputError) {
        xid = try message.transactionID(&offset)
        subxid = try message.transactionID(&offset)
        // Only the length tells the shapes apart.
        guard offset < message.byteCount else { return }
        abortLSN = try message.lsn(&offset)
        abortTimestamp = try message.timestamp(&offset)
    }
}
