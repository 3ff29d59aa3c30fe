/// What an event's JSON looks like. A format is a case here and a file beside this one, which knows both ways: how an event is written, and what is read back from it. Its name is the value of `events.format`.
///
/// Nobody else looks into the payload of a stored message.
public enum EventFormat: String, CaseIterable, Sendable {
    /// Slotstream's own.
    case slotstream
    /// FraiseQL's `EntityEvent`.
    case fraiseql
    /// CloudEvents 1.0, structured; `data` is Slotstream's own event.
    case cloudevents

    /// The file that knows it.
    var layout: any EventLayout.Type {
        switch self {
        case .slotstream: SlotstreamFormat.self
        case .fraiseql: FraiseQLFormat.self
        case .cloudevents: CloudEventsFormat.self
        }
    }

    /// Reads what a stored message tells of itself, in whichever format it was written: a stream can hold events of several, since the setting may change.
    /// - Parameter subject: The message's subject: FraiseQL's format has the operation there only.
    /// - Returns: nil where it is no event: no JSON, or an object of somebody else's.
    public static func read(_ payload: [UInt8], subject: String) -> ReadEvent? {
        payload.withUnsafeBytes { bytes in
            guard let object = EventObject(bytes) else { return nil }
            for format in allCases {
                if let event = format.layout.read(object, subject: subject) { return event }
            }
            return nil
        }
    }

    /// The body less the times that the encoder wrote: `"timestamp"` and CloudEvents' `"time"`.
    public static func withoutTimes(_ payload: [UInt8]) -> [UInt8] {
        var rest = payload[...]
        var kept: [UInt8] = []
        let keys = ["\"timestamp\":\"", "\"time\":\""].map { Array($0.utf8) }
        while let first = rest.first {
            if first == UInt8(ascii: "\""), let key = keys.first(where: { rest.starts(with: $0) }) {
                kept += key
                rest = rest.dropFirst(key.count).drop { $0 != UInt8(ascii: "\"") }
            } else {
                kept.append(first)
                rest = rest.dropFirst()
            }
        }
        return kept
    }

    /// Whether a message's body is one JSON object, an event or not.
    public static func isObject(_ payload: [UInt8]) -> Bool {
        payload.withUnsafeBytes { EventObject($0) != nil }
    }

    /// The body of an event that is stored late: as ever, and its own id in a last member `late`, in every format.
    public static func late(_ payload: [UInt8], original: MessageID) -> [UInt8] {
        guard payload.last == UInt8(ascii: "}") else { return payload }
        return payload.dropLast() + Array(",\"late\":{\"id\":\"\(original)\"}}".utf8)
    }
}

/// How one format writes an event, and reads it back.
///
/// What writes is called once an event, when its subject, its message id and its `entity_id` are known; it writes all up to `transaction`, which the
/// encoder writes itself where the format has it. The parts that formats share (rows, changes, lists of names) are the encoder's.
///
/// A type and not a value, so that a row's call is one call of a witness: nothing is allocated, and nothing is counted.
protocol EventLayout {
    /// Whether its events have `transaction`, and so tell whether they are the last of theirs.
    static var hasTransaction: Bool { get }
    /// Whether an event without `entity_id` cannot be written.
    static var demandsIdentity: Bool { get }

    /// What all events of an entity and an operation have in common.
    static func opening(entity: String, operation: String, identity: SourceIdentity) -> EventOpening
    /// What closes an event of these, behind `transaction` where the format has it.
    /// - Parameter source: The object that `source` is.
    static func tail(source: [UInt8]) -> [UInt8]

    static func writeRow(
        _ operation: RelationPlan.Operation, of plan: RelationPlan, _ row: RowView, to encoder: inout EventEncoder
    ) throws(EncodingFailure)
    static func writeTruncate(
        _ opening: EventOpening, cascade: Bool, restartIdentity: Bool, to encoder: inout EventEncoder
    ) throws(EncodingFailure)
    /// A row's change without its data; `omitted` says why.
    static func writeReference(
        _ opening: EventOpening, omitted: String, to encoder: inout EventEncoder
    ) throws(EncodingFailure)
    static func writeMessage(
        _ message: LogicalMessageEvent, _ opening: EventOpening, to encoder: inout EventEncoder
    ) throws(EncodingFailure)
    /// All up to the object that `poison` is.
    static func beginQuarantined(_ opening: EventOpening, to encoder: inout EventEncoder) throws(EncodingFailure)
    /// What follows that object.
    static func endQuarantined(source: [UInt8], to encoder: inout EventEncoder)

    /// What an object tells if it is an event of this format; nil if it is none.
    static func read(_ object: EventObject, subject: String) -> ReadEvent?
    /// The same object with its values, if it is an event of this format; nil if it is none.
    static func readDocument(_ object: JSONObject, subject: String?) -> ReadDocument?
}

/// The beginning of all events of an entity and an operation, in a format's own words.
struct EventOpening {
    /// What follows the id; the quote that ends it is the head's first byte.
    var head: [UInt8]
    /// What stands around the event before it begins; empty in a format that has nothing around it.
    var envelope: [UInt8] = []
}
