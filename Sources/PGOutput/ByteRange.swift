/// A run of bytes inside the message given to `PGOutputDecoder.decode(_:)`, found and checked by it.
///
/// It means something only together with that message, and is valid as long as the message's bytes are.
@frozen
public struct ByteRange: Hashable, Sendable {
    /// Index of the first byte; 0 is the message's tag.
    public var start: Int

    public var count: Int

    @inlinable
    public init(start: Int, count: Int) {
        self.start = start
        self.count = count
    }

    /// Index after the last byte.
    @inlinable
    public var end: Int { start + count }
}
