package import Capture

/// A stored event as observers see it: the same of every format, each value as it stands in the event.
package struct ObservedEvent: Sendable {
    /// What an event tells of one field's change.
    package enum FieldChange: Sendable {
        /// The field has another value than before.
        case changed(old: JSONValue?, new: JSONValue?)
        /// The field has the value that it had, or the event is of no change.
        case unchanged
        /// An UPDATE that does not tell: the table's replica identity does not carry the field.
        case unknown
    }

    /// The message's id, else the event's own; empty where it has neither: the caller gives it one.
    package var id: String
    /// `entity_type`, not empty.
    package let entityType: String
    /// As the event names it, not empty.
    package let operation: String
    /// `entity_id` as text; nil: not known.
    package let entityID: String?
    /// As it is written in the event.
    package let timestamp: String?
    /// The row: `entity`, in FraiseQL's format `data`; nil: there is none, as of a TRUNCATE, or it was withheld.
    package let data: JSONValue?
    /// The message's body.
    package let payload: [UInt8]

    private let event: JSONObject
    private let fields: JSONObject?
    private let before: JSONObject?
    private let changedFields: JSONObject?

    /// - Parameters:
    ///   - payload: The message's body.
    ///   - messageID: The message's `Nats-Msg-Id`.
    ///   - subject: The message's subject, if it is known: FraiseQL's format has some operations there only.
    /// - Returns: nil: it is no event: no JSON, or without `entity_type` or operation.
    package init?(payload: [UInt8], messageID: String?, subject: String? = nil) {
        guard let document = EventFormat.readDocument(payload, subject: subject) else { return nil }
        self.payload = payload
        let ownID = messageID.flatMap { $0.isEmpty ? nil : $0 }
        id = ownID ?? document.id ?? ""
        entityType = document.entity
        operation = document.operation
        entityID = document.entityID
        timestamp = document.timestamp
        data = document.data
        event = document.event
        fields = document.data?.object
        before = document.before
        changedFields = document.changes
    }

    /// What observers are chosen by.
    package var eventType: EventType { EventType(operation: operation) }

    /// The id as a header's value can have it: what is not printable ASCII, and `%`, as `%XX`.
    package var headerID: String {
        HeaderText.percentEncoded(id)
    }

    /// A field of the row; nil: it has none of that name.
    package func field(_ name: String) -> JSONValue? { fields?[name] }

    /// Whether the row has a field that PostgreSQL did not send: an UPDATE did not touch it, and it is stored apart.
    func isUnsent(_ name: String) -> Bool {
        event["unchanged"]?.elements?.contains { $0.string.map { $0.utf8.elementsEqual(name.utf8) } ?? false } ?? false
    }

    /// What is known of a field's change. As FraiseQL has it, only UPDATEs can fail to tell.
    package func change(of name: String) -> FieldChange {
        guard let changedFields else { return eventType == .update ? .unknown : .unchanged }
        if let change = changedFields[name]?.object { return .changed(old: change["old"], new: change["new"]) }
        // With a replica identity of some columns the old row is these columns only: of the others nothing is known.
        if let before, before[name] == nil, field(name) != nil { return .unknown }
        return .unchanged
    }

    /// A member of the event itself, whatever it is.
    package func member(_ name: String) -> JSONValue? { event[name] }

    /// All members of the event itself, in their order.
    package var members: [(name: [UInt8], value: JSONValue)] { event.members }
}
