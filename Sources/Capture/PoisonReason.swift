/// What makes a change unpublishable. Never carries row data, nor names that whoever emits a message has chosen.
public enum PoisonReason: Error, Sendable, Equatable {
    case notUTF8(column: String)
    /// `sentByteCount`: what PostgreSQL sent of it. Encoding stops at the limit, so that nobody knows the event's own size.
    case payloadTooLarge(sentByteCount: Int, limit: Int)
    /// `byteCount`: at least; no more than the limit of a value is encoded.
    case subjectTooLong(byteCount: Int, limit: Int)
    /// The subject is one of Slotstream's own (`ReservedEntity`).
    case subjectReserved
    case malformedValue(column: String, type: String)
    case messageBody(String)
    /// FraiseQL's format has no other `entity_id`.
    case entityIDNotUUID
}

extension PoisonReason {
    /// The stable name, as quarantined events have it.
    public var name: String {
        switch self {
        case .notUTF8: "not_utf8"
        case .payloadTooLarge: "payload_too_large"
        case .subjectTooLong: "subject_too_long"
        case .subjectReserved: "subject_reserved"
        case .malformedValue: "malformed_value"
        case .messageBody: "message_body"
        case .entityIDNotUUID: "entity_id_not_uuid"
        }
    }
}

extension PoisonReason: CustomStringConvertible {
    public var description: String {
        switch self {
        case .notUTF8(let column): "column \(column) is not valid UTF-8"
        case .payloadTooLarge(let sentByteCount, let limit):
            "the event has more than the \(limit) bytes that NATS takes (max_payload, less the headers); PostgreSQL sent \(sentByteCount) bytes of the event"
        case .subjectTooLong(let byteCount, let limit):
            "the subject has \(byteCount) bytes or more, at most \(limit) are sent"
        case .subjectReserved: "its subject begins with the token \(ReservedEntity.name), which is Slotstream's own"
        case .malformedValue(let column, let type):
            "the value of column \(column) is not a \(type) as PostgreSQL prints the type"
        case .messageBody(let why): "the logical message's body is not an event: \(why)"
        case .entityIDNotUUID: "its entity_id is no UUID, which the format fraiseql demands"
        }
    }
}
