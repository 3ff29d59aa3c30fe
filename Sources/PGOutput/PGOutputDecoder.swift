/// Decodes the messages of one connection, one after another. Owned by one thread.
///
/// It keeps two things between messages: whether a streamed block is open, because the messages inside one carry an xid
/// first, and the storage of the columns, so that a row costs no allocation once that is large enough.
public struct PGOutputDecoder {
    /// The new row of the last Insert or Update decoded; empty after a Delete. Ranges lie in the message given to
    /// `decode`.
    ///
    /// A copy of this array that is still alive when the next row is decoded costs that row an allocation.
    public internal(set) var newColumns: [TupleColumn] = []

    /// The old row or key of the last Update or Delete decoded; empty if none was sent. Otherwise as `newColumns`.
    public internal(set) var oldColumns: [TupleColumn] = []

    private var inStream = false

    public init() {}

    /// Decodes one whole message: an XLogData frame's payload, or one row of `pg_logical_slot_get_binary_changes`.
    ///
    /// Relation and Type allocate; no other kind does in the steady state.
    /// - Returns: Fields, and ranges into `message`, all inside it.
    /// - Throws: `PGOutputError`. Then whether a block is open is as it was before; the columns may be part of a row.
    public mutating func decode(_ message: RawSpan) throws(PGOutputError) -> PGOutputMessage {
        // `TupleColumn` has 32 bits for an index.
        guard message.byteCount <= Int(Int32.max) else { throw .oversized(byteCount: message.byteCount) }
        var offset = 0
        let byte = try message.integer(UInt8.self, &offset)
        guard let tag = MessageTag(rawValue: byte) else { throw .unknownMessage(tag: byte) }
        guard tag.isAllowed(inStream: inStream) else { throw .misplacedMessage(tag: byte) }

        let decoded = try decodeFields(of: tag, message, &offset)
        guard offset == message.byteCount else { throw .trailingBytes(offset: offset) }
        if tag == .streamStart { inStream = true }
        if tag == .streamStop { inStream = false }
        return decoded
    }

    /// Forgets an open streamed block: the next message is the first of a new connection.
    public mutating func reset() {
        inStream = false
    }

    private mutating func decodeFields(
        of tag: MessageTag, _ message: RawSpan, _ offset: inout Int
    ) throws(PGOutputError) -> PGOutputMessage {
        switch tag {
        case .insert: .insert(try insert(message, inStream: inStream, &offset))
        case .update: .update(try update(message, inStream: inStream, &offset))
        case .delete: .delete(try delete(message, inStream: inStream, &offset))
        case .begin: .begin(try Begin(message, &offset))
        case .commit: .commit(try Commit(message, &offset))
        case .origin: .origin(try Origin(message, &offset))
        case .relation: .relation(try Relation(message, inStream: inStream, &offset))
        case .type: .type(try TypeDescription(message, inStream: inStream, &offset))
        case .truncate: .truncate(try Truncate(message, inStream: inStream, &offset))
        case .message: .message(try LogicalMessage(message, inStream: inStream, &offset))
        case .streamStart: .streamStart(try StreamStart(message, &offset))
        case .streamStop: .streamStop
        case .streamCommit: .streamCommit(try StreamCommit(message, &offset))
        case .streamAbort: .streamAbort(try StreamAbort(message, &offset))
        case .beginPrepare: .beginPrepare(try BeginPrepare(message, &offset))
        case .prepare: .prepare(try Prepare(message, &offset))
        case .commitPrepared: .commitPrepared(try CommitPrepared(message, &offset))
        case .rollbackPrepared: .rollbackPrepared(try RollbackPrepared(message, &offset))
        case .streamPrepare: .streamPrepare(try StreamPrepare(message, &offset))
        }
    }
}
