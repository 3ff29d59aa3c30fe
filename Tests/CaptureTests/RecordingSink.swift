import Testing
import WAL

@testable import Capture

/// One event as a sink was given it.
struct RecordedEvent: Equatable, CustomTestStringConvertible {
    let header: EventHeader
    let subject: String
    let messageID: String
    let payload: [UInt8]

    /// Indices of kinds are given in the order in which kinds come, which a watermark changes: no part of the event.
    static func == (lhs: RecordedEvent, rhs: RecordedEvent) -> Bool {
        lhs.header.position == rhs.header.position && lhs.header.transactionID == rhs.header.transactionID
            && lhs.header.commitTimestamp == rhs.header.commitTimestamp && lhs.subject == rhs.subject
            && lhs.messageID == rhs.messageID && lhs.payload == rhs.payload
    }

    var text: String { String(decoding: payload, as: UTF8.self) }

    var testDescription: String { messageID }

    /// The outermost members by name, each as the text that stands there, byte for byte.
    func members() throws -> [String: String] {
        try Self.members(of: payload)
    }

    /// The text of the member at `path`; nil if there is none.
    func value(_ path: String...) throws -> String? {
        var text = payload
        for name in path {
            guard let value = try Self.members(of: text)[name] else { return nil }
            text = Array(value.utf8)
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func members(of text: [UInt8]) throws -> [String: String] {
        try text.withUnsafeBytes { bytes in
            var members: [String: String] = [:]
            for member in try JSONObjectScanner.members(of: bytes) {
                members[String(decoding: member.key, as: UTF8.self)] = String(
                    decoding: bytes[member.valueRange], as: UTF8.self)
            }
            return members
        }
    }
}

/// Keeps every event that it is given.
struct RecordingSink: EventSink {
    var events: [RecordedEvent] = []

    mutating func accept(_ header: EventHeader, subject: RawSpan, messageID: RawSpan, payload: RawSpan) {
        events.append(
            RecordedEvent(
                header: header, subject: Self.text(subject), messageID: Self.text(messageID),
                payload: payload.withUnsafeBytes { Array($0) }))
    }

    private static func text(_ span: RawSpan) -> String {
        span.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }
}
