import FoundationEssentials

/// What `STREAM.MSG.GET` answers of a message, without its body.
struct StoredHeader {
    /// The message's place in the stream.
    let sequence: UInt64
    private let subject: [UInt8]
    private let block: [UInt8]

    /// The subject to ask on.
    static func requestSubject(_ stream: String) -> String { "$JS.API.STREAM.MSG.GET.\(stream)" }

    /// Reads an answer.
    static func read(_ raw: [UInt8], operation: String) throws(JetStreamError) -> StoredHeader {
        let response: Response = try JetStreamConnection.decode(raw, operation: operation)
        return StoredHeader(
            sequence: response.message.seq, subject: Array(response.message.subject.utf8),
            block: response.message.hdrs.map { [UInt8]($0) } ?? [])
    }

    /// Hands `Nats-Msg-Id` (nil if there is none) and subject to `body`.
    func withBytes<Value>(
        _ body: (_ messageID: UnsafeBufferPointer<UInt8>?, _ subject: UnsafeBufferPointer<UInt8>) -> Value
    ) -> Value {
        subject.withUnsafeBufferPointer { subject in
            block.withUnsafeBufferPointer { block in body(Self.messageID(block), subject) }
        }
    }

    private struct Response: Decodable {
        struct Message: Decodable {
            var subject: String
            var seq: UInt64
            // Base64; left out when empty.
            var hdrs: Data?
        }
        var message: Message
    }

    /// The first line's value, without the white space around it.
    private static func messageID(_ block: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8>? {
        let name: StaticString = "Nats-Msg-Id:"
        for line in block.split(separator: UInt8(ascii: "\n")) {
            guard name.withUTF8Buffer({ line.starts(with: $0) }) else { continue }
            let isSpace: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
            var value = line.dropFirst(name.utf8CodeUnitCount).drop(while: isSpace)
            while let end = value.last, isSpace(end) { value.removeLast() }
            return UnsafeBufferPointer(rebasing: value)
        }
        return nil
    }
}
