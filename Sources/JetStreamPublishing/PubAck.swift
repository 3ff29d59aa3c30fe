/// A PubAck, read from the server's JSON without allocating.
///
/// Shape: `{"stream":…,"seq":…,"duplicate":…,"count":…}` or `{"error":{"code":…,"err_code":…,"description":…},…}`; other
/// members are skipped. Source: nats-server, `JSPubAckResponse`, `ApiError`.
struct PubAck {
    /// What a refusal says.
    struct Refusal {
        /// JetStream's own code; 0 if absent.
        var errCode = 0
        /// The HTTP-like code; 0 if absent.
        var code = 0
        /// The number that ends the description: only in "wrong last sequence: N".
        var lastSequence: UInt64?
        /// Where JetStream's own words stand in the body, as JSON has them.
        var description: Range<Int> = 0..<0
    }

    /// Where the stream's name stands in the body, without its quotes.
    private(set) var stream: Range<Int> = 0..<0
    private(set) var sequence: UInt64 = 0
    private(set) var isDuplicate = false
    /// The number of messages that the ack stands for: of an atomic batch its size, else 1.
    private(set) var batchCount: UInt64 = 1
    /// Set if the message was refused; the other members then mean nothing.
    private(set) var refusal: Refusal?

    /// Reads `body`; nil if it is not one JSON object with either an error or both stream and sequence.
    init?(_ body: UnsafeBufferPointer<UInt8>) {
        var scanner = JSONScanner(body)
        var hasStream = false
        var hasSequence = false
        guard scanner.consume(UInt8(ascii: "{")) else { return nil }
        if !scanner.consume(UInt8(ascii: "}")) {
            repeat {
                guard let key = scanner.string(), scanner.consume(UInt8(ascii: ":")) else { return nil }
                if scanner.equals(key, "stream") {
                    guard let name = scanner.string() else { return nil }
                    stream = name
                    hasStream = true
                } else if scanner.equals(key, "seq") {
                    guard let number = scanner.unsigned() else { return nil }
                    sequence = number
                    hasSequence = true
                } else if scanner.equals(key, "duplicate") {
                    guard let flag = scanner.boolean() else { return nil }
                    isDuplicate = flag
                } else if scanner.equals(key, "count") {
                    guard let number = scanner.unsigned() else { return nil }
                    batchCount = number
                } else if scanner.equals(key, "error"), scanner.isAtObject {
                    guard let error = Self.refusal(&scanner) else { return nil }
                    refusal = error
                } else {
                    guard scanner.skipValue() else { return nil }
                }
            } while scanner.consume(UInt8(ascii: ","))
            guard scanner.consume(UInt8(ascii: "}")) else { return nil }
        }
        guard scanner.isAtEnd, refusal != nil || (hasStream && hasSequence) else { return nil }
    }

    /// Steps over the object that tells of a refusal.
    static func refusal(_ scanner: inout JSONScanner) -> Refusal? {
        var refusal = Refusal()
        guard scanner.consume(UInt8(ascii: "{")) else { return nil }
        if scanner.consume(UInt8(ascii: "}")) { return refusal }
        repeat {
            guard let key = scanner.string(), scanner.consume(UInt8(ascii: ":")) else { return nil }
            if scanner.equals(key, "code") {
                guard let number = scanner.unsigned() else { return nil }
                refusal.code = Int(clamping: number)
            } else if scanner.equals(key, "err_code") {
                guard let number = scanner.unsigned() else { return nil }
                refusal.errCode = Int(clamping: number)
            } else if scanner.equals(key, "description") {
                guard let text = scanner.string() else { return nil }
                refusal.description = text
                refusal.lastSequence = scanner.numberEnding(text, after: "wrong last sequence: ")
            } else {
                guard scanner.skipValue() else { return nil }
            }
        } while scanner.consume(UInt8(ascii: ","))
        return scanner.consume(UInt8(ascii: "}")) ? refusal : nil
    }
}
