import Capture

/// A request to a fixed address with the event, or with what a template makes of it.
package struct WebhookAction: Sendable {
    /// Where to.
    package let url: ActionURL
    /// `POST`, or what else is allowed, in capitals.
    package let method: String
    /// The user's own, none of which is one of ours.
    package let headers: [ActionHeader]
    /// nil: the event's row alone.
    package let bodyTemplate: Template?
    /// What the body is signed with; nil: it is not.
    package let signingSecret: ActionSecret?

    /// The body, as it is signed and sent: JSON always.
    package func body(for event: ObservedEvent) -> [UInt8] {
        guard let bodyTemplate else { return event.data.map { Array($0.text) } ?? Array("null".utf8) }
        return bodyTemplate.renderJSON(event)
    }

    /// All headers of a request with that body: `Content-Type` unless the user has one, the event's id under both names, the signature, then the user's.
    /// - Parameter signature: As `WebhookSignature.header` gives it; nil: none.
    package func headers(for event: ObservedEvent, signature: String?) -> [(name: String, value: String)] {
        var all: [(name: String, value: String)] = []
        if !headers.contains(where: { $0.name.lowercased() == "content-type" }) { all.append(("Content-Type", "application/json")) }
        all.append(("Idempotency-Key", event.headerID))
        all.append(("Nats-Msg-Id", event.headerID))
        if let signature { all.append((WebhookSignature.headerName, signature)) }
        return all + headers.map { ($0.name, $0.value.value) }
    }
}
