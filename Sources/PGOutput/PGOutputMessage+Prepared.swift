public import WAL

/// The start of a prepared transaction that is sent whole, after its PREPARE.
///
/// Shape: `b prepareLSN: Int64, endLSN: Int64, prepareTimestamp: Int64, xid: Int32, gid: String`.
public struct BeginPrepare: Hashable, Sendable {
    /// Start of the prepare record. Never 0/0.
    public var prepareLSN: LSN

    /// The byte after the prepare record. Never 0/0.
    public var endLSN: LSN

    public var prepareTimestamp: PostgresTimestamp
    public var xid: TransactionID

    /// The name that the user gave to PREPARE TRANSACTION.
    public var gid: ByteRange

    init(_ message: RawSpan, _ offset: inout Int) throws(PGOutputError) {
        prepareLSN = try message.validLSN(&offset)
        endLSN = try message.validLSN(&offset)
        prepareTimestamp = try message.timestamp(&offset)
        xid = try message.transactionID(&offset)
        gid = try message.string(&offset)
    }
}

/// The end of a transaction that began with `BeginPrepare`; it is prepared, not committed.
///
/// Shape: `P flags: Int8 (0), prepareLSN: Int64, endLSN: Int64, prepareTimestamp: Int64, xid: Int32, gid: String`.
public struct Prepare: Hashable, Sendable {
    /// Start of the prepare record. Never 0/0.
    public var prepareLSN: LSN

    /// The byte after the prepare record. Never 0/0.
    public var endLSN: LSN

    public var prepareTimestamp: PostgresTimestamp
    public var xid: TransactionID
    public var gid: ByteRange

    init(_ message: RawSpan, _ offset: inout Int) throws(PGOutputError) {
        _ = try message.flags(known: 0, &offset)
        prepareLSN = try message.validLSN(&offset)
        endLSN = try message.validLSN(&offset)
        prepareTimestamp = try message.timestamp(&offset)
        xid = try message.transactionID(&offset)
        gid = try message.string(&offset)
    }
}

/// COMMIT PREPARED of a transaction that was sent before.
///
/// Shape: `K flags: Int8 (0), commitLSN: Int64, endLSN: Int64, commitTimestamp: Int64, xid: Int32, gid: String`.
public struct CommitPrepared: Hashable, Sendable {
    /// Start of the commit-prepared record. Never 0/0.
    public var commitLSN: LSN

    /// The byte after the commit-prepared record. Never 0/0.
    public var endLSN: LSN

    public var commitTimestamp: PostgresTimestamp
    public var xid: TransactionID
    public var gid: ByteRange

    init(_ message: RawSpan, _ offset: inout Int) throws(PGOutputError) {
        _ = try message.flags(known: 0, &offset)
        commitLSN = try message.validLSN(&offset)
        endLSN = try message.validLSN(&offset)
        commitTimestamp = try message.timestamp(&offset)
        xid = try message.transactionID(&offset)
        gid = try message.string(&offset)
    }
}

/// ROLLBACK PREPARED of a transaction that was sent before.
///
/// Shape: `r flags: Int8 (0), prepareEndLSN: Int64, rollbackEndLSN: Int64, prepareTimestamp: Int64,
/// rollbackTimestamp: Int64, xid: Int32, gid: String`.
public struct RollbackPrepared: Hashable, Sendable {
    /// The byte after the prepare record. Never 0/0.
    public var prepareEndLSN: LSN

    /// The byte after the rollback-prepared record. Never 0/0.
    public var rollbackEndLSN: LSN

    public var prepareTimestamp: PostgresTimestamp
    public var rollbackTimestamp: PostgresTimestamp
    public var xid: TransactionID
    public var gid: ByteRange

    init(_ message: RawSpan, _ offset: inout Int) throws(PGOutputError) {
        _ = try message.flags(known: 0, &offset)
        prepareEndLSN = try message.validLSN(&offset)
        rollbackEndLSN = try message.validLSN(&offset)
        prepareTimestamp = try message.timestamp(&offset)
        rollbackTimestamp = try message.timestamp(&offset)
        xid = try message.transactionID(&offset)
        gid = try message.string(&offset)
    }
}

/// The PREPARE of a transaction that was streamed while it ran.
///
/// Shape: `p flags: Int8 (0), prepareLSN: Int64, endLSN: Int64, prepareTimestamp: Int64, xid: Int32, gid: String`.
public struct StreamPrepare: Hashable, Sendable {
    /// Start of the prepare record. Never 0/0.
    public var prepareLSN: LSN

    /// The byte after the prepare record. Never 0/0.
    public var endLSN: LSN

    public var prepareTimestamp: PostgresTimestamp
    public var xid: TransactionID
    public var gid: ByteRange

    init(_ message: RawSpan, _ offset: inout Int) throws(PGOutputError) {
        _ = try message.flags(known: 0, &offset)
        prepareLSN = try message.validLSN(&offset)
        endLSN = try message.validLSN(&offset)
        prepareTimestamp = try message.timestamp(&offset)
        xid = try message.transactionID(&offset)
        gid = try message.string(&offset)
    }
}
