import Capture
import WAL

/// An event that was decoded again, with bytes of its own.
struct DecodedEvent {
    var header: EventHeader
    var subject: [UInt8]
    var messageID: String
    var payload: [UInt8]

    init(_ header: EventHeader, subject: RawSpan, messageID: RawSpan, payload: RawSpan) {
        self.header = header
        self.subject = subject.withUnsafeBytes { Array($0) }
        self.messageID = messageID.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
        self.payload = payload.withUnsafeBytes { Array($0) }
    }

    /// What it takes of a limit in bytes.
    var byteCount: Int { subject.count + messageID.utf8.count + payload.count }

    /// Whether this is its body. Of a message outside transactions PostgreSQL keeps no time, and each decoding gives another.
    func hasPayload(_ other: [UInt8]) -> Bool {
        if payload == other { return true }
        return header.position.ordinal == 0 && EventFormat.withoutTimes(payload) == EventFormat.withoutTimes(other)
    }
}

extension EventHeader {
    /// When it was committed; nil: PostgreSQL does not tell.
    var commitTime: PostgresTimestamp? { position.ordinal == 0 ? nil : commitTimestamp }
}
