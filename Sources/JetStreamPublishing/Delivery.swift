/// What a delivered message's reply subject says of it.
///
/// Shape: `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<time>.<pending>`, or the same
/// with domain and account hash after `ACK` and, perhaps, a random token at the end. Source: ADR-15.
struct Delivery: Hashable {
    /// How many times it has been delivered, this time included.
    let count: Int
    /// The message's place in the stream.
    let streamSequence: UInt64
    /// Counts deliveries from 1: a gap is a delivery that was lost.
    let consumerSequence: UInt64
    /// When it was stored, by its server's clock; since 1970.
    let storedAtNanoseconds: Int64
    /// Messages that the consumer's server has yet to deliver, by its own count, which deletes meanwhile can make wrong.
    let pendingCount: UInt64

    /// Reads `reply`; nil if it is no such subject, as in a status message.
    init?(reply: UnsafeBufferPointer<UInt8>) {
        let tokens = reply.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard tokens.count >= 9, tokens[0].elementsEqual("$JS".utf8), tokens[1].elementsEqual("ACK".utf8) else {
            return nil
        }
        let first = tokens.count == 9 ? 5 : 7
        guard tokens.count > first + 3, let count = Self.number(tokens[first - 1]), let streamSequence = Self.number(tokens[first]),
            let consumerSequence = Self.number(tokens[first + 1]), let storedAt = Self.number(tokens[first + 2]),
            let pendingCount = Self.number(tokens[first + 3])
        else { return nil }
        self.count = Int(clamping: count)
        self.streamSequence = streamSequence
        self.consumerSequence = consumerSequence
        storedAtNanoseconds = Int64(clamping: storedAt)
        self.pendingCount = pendingCount
    }

    private static func number(_ digits: Slice<UnsafeBufferPointer<UInt8>>) -> UInt64? {
        guard let first = digits.first, first >= UInt8(ascii: "0"), first <= UInt8(ascii: "9") else { return nil }
        return UInt64(String(decoding: digits, as: UTF8.self))
    }
}
