/// A stored event as whoever acts on it needs it: the same of every format, each value as it stands in the event.
package struct ReadDocument: Sendable {
    /// The event itself; of CloudEvents what is in the envelope.
    package let event: JSONObject
    /// As the format has it, which is not always the message's id.
    package let id: String?
    /// Not empty.
    package let entity: String
    /// Not empty. In FraiseQL's format the message's subject tells what `CUSTOM` was.
    package let operation: String
    /// A number as its text; nil: not known, or null.
    package let entityID: String?
    /// As it is written.
    package let timestamp: String?
    /// The row, of a DELETE what is known of the old one; nil: it has none, as a TRUNCATE, or was withheld.
    package let data: JSONValue?
    /// What is known of the old row of an UPDATE, where that is told.
    package let before: JSONObject?
    /// `{"name":{"old":…,"new":…}}`; nil: not known.
    package let changes: JSONObject?

    /// nil without an entity and an operation.
    /// - Parameter data: The name of the row's member.
    init?(_ event: JSONObject, operation: String?, data: String) {
        guard let entity = event["entity_type"]?.string, !entity.isEmpty, let operation, !operation.isEmpty else { return nil }
        self.event = event
        id = event["id"]?.string
        self.entity = entity
        self.operation = operation
        entityID = event["entity_id"].flatMap(Self.text)
        timestamp = event["timestamp"]?.string
        self.data = event[data].flatMap { $0.kind == .null ? nil : $0 }
        before = event["before"]?.object
        changes = event["changes"]?.object
    }

    /// What identifies a row is a string or a number.
    private static func text(_ value: JSONValue) -> String? {
        value.kind == .number ? String(decoding: value.text, as: UTF8.self) : value.string
    }
}

extension EventFormat {
    /// Reads a stored event with its values, in whichever format it was written.
    /// - Parameter subject: The message's subject, if it is known: FraiseQL's format has some operations there only.
    /// - Returns: nil where it is no event: no JSON, or an object of somebody else's, or of neither entity nor operation, as markers are.
    package static func readDocument(_ payload: [UInt8], subject: String?) -> ReadDocument? {
        guard let object = JSONValue(payload)?.object else { return nil }
        for format in allCases {
            if let document = format.layout.readDocument(object, subject: subject) { return document }
        }
        return nil
    }
}
