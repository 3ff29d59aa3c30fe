public import WAL

/// A new row; its columns are the decoder's `newColumns`.
///
/// Shape: `I [xid: Int32], relationID: Int32, 'N', tuple`.
@frozen
public struct Insert: Hashable, Sendable {
    /// nil outside a streamed block.
    public var streamedXID: TransactionID?

    public var relationID: RelationID
}

/// A changed row; its columns are the decoder's `newColumns` and, unless `old` is `none`, `oldColumns`.
///
/// Shape: `U [xid: Int32], relationID: Int32, ['K' or 'O', tuple,] 'N', tuple`.
@frozen
public struct Update: Hashable, Sendable {
    /// nil outside a streamed block.
    public var streamedXID: TransactionID?

    public var relationID: RelationID
    public var old: OldTuple
}

/// A deleted row; what was sent of it is in the decoder's `oldColumns`.
///
/// Shape: `D [xid: Int32], relationID: Int32, 'K' or 'O', tuple`.
@frozen
public struct Delete: Hashable, Sendable {
    /// nil outside a streamed block.
    public var streamedXID: TransactionID?

    public var relationID: RelationID

    /// `key` or `full`, never `none`.
    public var old: OldTuple
}

/// What was sent of the row before the change.
@frozen
public enum OldTuple: Hashable, Sendable {
    /// Nothing: an UPDATE that left the key as it was.
    case none

    /// `K`: the key's columns; all others come as NULL.
    case key

    /// `O`: the whole row (identity FULL).
    case full
}

/// TRUNCATE of one or several relations, in one statement.
///
/// Shape: `T [xid: Int32], relationCount: Int32, flags: Int8 (1 = CASCADE, 2 = RESTART IDENTITY), relationIDs: Int32
/// each`.
public struct Truncate: Hashable, Sendable {
    /// nil outside a streamed block.
    public var streamedXID: TransactionID?

    public var cascade: Bool
    public var restartIdentity: Bool

    /// Those that the publication publishes, of all that were truncated.
    public var relationCount: Int

    private let relationIDs: ByteRange

    init(_ message: RawSpan, inStream: Bool, _ offset: inout Int) throws(PGOutputError) {
        streamedXID = try message.streamedXID(inStream: inStream, &offset)
        relationCount = try message.count(&offset)
        let flags = try message.flags(known: 3, &offset)
        cascade = flags & 1 != 0
        restartIdentity = flags & 2 != 0
        relationIDs = try message.bytes(relationCount * MemoryLayout<UInt32>.size, &offset)
    }

    /// The relation at `index` (below `relationCount`).
    ///
    /// - Parameter message: The bytes that this was decoded from.
    public func relationID(at index: Int, in message: RawSpan) -> RelationID {
        precondition((0..<relationCount).contains(index), "no such relation in this TRUNCATE")
        let start = relationIDs.start + index * MemoryLayout<UInt32>.size
        return unsafe RelationID(UInt32(bigEndian: message.unsafeLoadUnaligned(fromByteOffset: start, as: UInt32.self)))
    }
}
