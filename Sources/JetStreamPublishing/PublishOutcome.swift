/// What the server answered to one publish, whenever that was not simply "stored where it had to be".
///
/// None of these proves that a message is stored, except ``controlStored(token:sequence:)`` and ``fastBatchEnded(token:)``, whose messages are among the stored
/// ranges too.
public enum PublishOutcome: Sendable, Hashable {
    /// The server refused the message: `errCode` is JetStream's `err_code` (0 if only a status came), `code` the
    /// HTTP-like one. `lastSequence` is the number at the end of "wrong last sequence: N", nil for other refusals. Both codes are 0 where a fast
    /// batch ended because the message had not come.
    case refused(token: UInt64, errCode: Int, code: Int, lastSequence: UInt64?)
    /// The server says that it knows the message id. Replicated 2.10 and 2.11 say so, with sequence 0, of messages
    /// that they never stored.
    case duplicate(token: UInt64, sequence: UInt64)
    /// Stored, but not where the chain wanted it.
    case otherSequence(token: UInt64, sequence: UInt64)
    /// Another stream answered.
    case otherStream(token: UInt64)
    /// No stream listens on the subject, or it has no leader (status 503).
    case noResponders(token: UInt64)
    /// The answer could not be read.
    case malformed(token: UInt64)
    /// A control publish (token with ``AckMailbox/controlBit``) was stored at `sequence` of the control stream.
    case controlStored(token: UInt64, sequence: UInt64)
    /// The server takes a fast batch: the rest may be sent. An ack comes every `ackInterval` messages.
    case fastBatchStarted(base: UInt64, ackInterval: Int)
    /// A fast batch is over and stored up to `token`, which is less than was sent if a message was refused.
    case fastBatchEnded(token: UInt64)

    /// The token that the message was published under.
    public var token: UInt64 {
        switch self {
        case .refused(let token, _, _, _), .duplicate(let token, _), .otherSequence(let token, _),
            .otherStream(let token), .noResponders(let token), .malformed(let token), .controlStored(let token, _),
            .fastBatchEnded(let token):
            token
        case .fastBatchStarted(let base, _):
            base &+ 1
        }
    }

    /// Whether it belongs to a control publish.
    public var isControl: Bool { token & AckMailbox.controlBit != 0 }
}
