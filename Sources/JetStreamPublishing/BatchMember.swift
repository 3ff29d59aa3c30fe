/// A message's place in an atomic batch (nats-server 2.12.1 and later, streams with `allow_atomic`).
///
/// Nothing of a batch is stored before its last member arrived. Source: nats-architecture-and-design, ADR-50.
public struct BatchMember: Sendable, Hashable {
    /// The server's limit on the messages of one batch.
    public static let countLimit = 1_000

    /// Names the batch; a batch that is tried again needs a new one.
    public var batch: UInt64
    /// Counts from 1.
    public var ordinal: Int
    /// Whether the batch is committed with this message.
    public var isLast: Bool

    /// The `ordinal`-th message of `batch`.
    public init(batch: UInt64, ordinal: Int, isLast: Bool) {
        self.batch = batch
        self.ordinal = ordinal
        self.isLast = isLast
    }
}
