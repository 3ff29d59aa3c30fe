/// A message on a subject that is made of the event, kept by whatever stream captures it.
package struct NATSAction: Sendable {
    /// Bytes of a subject: what Slotstream's own have at most.
    package static let subjectByteCountLimit = 2_048

    /// Values are encoded as tokens; nothing of a row adds a token or a wildcard.
    package let subjectTemplate: Template
    /// nil: the event as it was stored.
    package let bodyTemplate: Template?

    /// The subject of an event.
    /// - Throws: `.subjectTooLong`; it will be as long at the next attempt.
    package func subject(for event: ObservedEvent) throws(RenderingError) -> String {
        let subject = subjectTemplate.render(event, escaping: .subjectToken)
        guard subject.utf8.count <= Self.subjectByteCountLimit else {
            throw .subjectTooLong(byteCount: subject.utf8.count, limit: Self.subjectByteCountLimit)
        }
        return subject
    }

    /// The message's body.
    package func body(for event: ObservedEvent) -> [UInt8] {
        bodyTemplate?.renderJSON(event) ?? event.payload
    }
}
