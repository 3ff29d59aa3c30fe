/// A message's place in a fast batch (nats-server 2.14 and later, streams with `allow_batched`).
///
/// In the mode used here the first refusal ends the batch, and nothing behind it is stored; what was stored before stays. Source:
/// nats-architecture-and-design, ADR-50; nats-server, `processJetStreamFastBatchMsg`.
///
/// - Send the rest only after ``PublishOutcome/fastBatchStarted(base:ackInterval:)``, and the next batch only after ``PublishOutcome/fastBatchEnded(token:)``: behind
///   a batch that ended early strays can make its numbers right.
/// - Only the end of a batch proves its last messages: acks come every ``ackInterval`` messages. So end it when there is nothing more to send, or no room
///   for `ackInterval` messages more; the server forgets a batch after 10 s without a message.
/// - A `base` is used once an epoch.
public struct FastBatchMember: Sendable, Hashable {
    /// What the message does to the batch.
    public enum Step: UInt8, Sendable, Hashable {
        /// The first message.
        case start = 0
        /// Any other.
        case append = 1
        /// The last; it may be the only one.
        case commit = 2
    }

    /// How many messages the server may leave without an ack. It takes 500 at most, and fewer while others publish so to the same stream.
    public static let ackInterval: UInt16 = 200

    /// The stream's last sequence before the batch: the `n`-th message must get `base + n`.
    public var base: UInt64
    /// Counts from 1.
    public var ordinal: UInt64
    /// What it does to the batch.
    public var step: Step

    /// The `ordinal`-th message behind `base`.
    public init(base: UInt64, ordinal: UInt64, step: Step) {
        self.base = base
        self.ordinal = ordinal
        self.step = step
    }

    /// The sequence that the message must get.
    public var token: UInt64 { base &+ ordinal }
}
