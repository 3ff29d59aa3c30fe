/// One decoded message. Names and fields are PostgreSQL's own; what is bytes in the message stays there (`ByteRange`).
///
/// Source: PostgreSQL, "Logical Replication Message Formats".
public enum PGOutputMessage: Hashable, Sendable {
    case begin(Begin)
    case commit(Commit)
    case origin(Origin)
    case relation(Relation)
    case type(TypeDescription)

    /// The row is in the decoder's `newColumns`.
    case insert(Insert)

    /// The new row is in the decoder's `newColumns`; the old one or its key, where sent, in `oldColumns`.
    case update(Update)

    /// The old row or its key is in the decoder's `oldColumns`.
    case delete(Delete)

    case truncate(Truncate)
    case message(LogicalMessage)
    case streamStart(StreamStart)
    case streamStop
    case streamCommit(StreamCommit)
    case streamAbort(StreamAbort)
    case beginPrepare(BeginPrepare)
    case prepare(Prepare)
    case commitPrepared(CommitPrepared)
    case rollbackPrepared(RollbackPrepared)
    case streamPrepare(StreamPrepare)
}
