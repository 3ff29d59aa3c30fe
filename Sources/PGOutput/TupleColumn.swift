/// One column of a row, in the order of the relation's columns: what was sent for it, and where its bytes are.
///
/// Twelve bytes, so that the columns of a usual row lie in a few cache lines. 32 bits are enough: a message is at most
/// `Int32.max` bytes long.
@frozen
public struct TupleColumn: Hashable, Sendable {
    public var kind: TupleColumnKind

    /// Index of the value's first byte in the message; 0 where no value was sent (`null`, `unchanged`).
    public var start: Int32

    /// Length of the value; 0 where no value was sent. An empty text has 0 bytes too: `kind` tells them apart.
    public var byteCount: Int32

    @inlinable
    public init(kind: TupleColumnKind, start: Int32, byteCount: Int32) {
        self.kind = kind
        self.start = start
        self.byteCount = byteCount
    }

    /// The value's bytes, in the message given to the decoder.
    @inlinable
    public var bytes: ByteRange { ByteRange(start: Int(start), count: Int(byteCount)) }
}

/// What PostgreSQL sent for one column of a row. The raw values are ours; the wire's letters stand beside them.
@frozen
public enum TupleColumnKind: UInt8, Hashable, Sendable {
    /// `n`: SQL NULL. In an old key, also every column outside the key.
    case null

    /// `u`: a TOASTed value that the statement did not touch: not sent, and not NULL.
    case unchanged

    /// `t`: the type's text output, in the server's encoding converted to the client's; not checked here.
    case text

    /// `b`: the type's binary send format (option `binary`, and only for types that have one).
    case binary
}
