public import WAL

/// What a client wrote with `pg_logical_emit_message` (option `messages`).
///
/// Shape: `M [xid: Int32], flags: Int8 (1 = transactional), lsn: Int64, prefix: String, byteCount: Int32, content`.
public struct LogicalMessage: Hashable, Sendable {
    /// nil outside a streamed block.
    public var streamedXID: TransactionID?

    /// Whether it belongs to the transaction around it. If not, it stands between transactions, on its own.
    public var isTransactional: Bool

    /// The message's own position.
    public var lsn: LSN

    /// Without its terminating NUL; not checked to be UTF-8.
    public var prefix: ByteRange

    /// Any bytes.
    public var content: ByteRange

    init(_ message: RawSpan, inStream: Bool, _ offset: inout Int) throws(PGOutputError) {
        streamedXID = try message.streamedXID(inStream: inStream, &offset)
        isTransactional = try message.flags(known: 1, &offset) == 1
        lsn = try message.lsn(&offset)
        prefix = try message.string(&offset)
        content = try message.bytes(try message.count(&offset), &offset)
    }
}
