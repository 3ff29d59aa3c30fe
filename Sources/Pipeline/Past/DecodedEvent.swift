import Capture

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
}
