import Capture

/// A message to one of Slack's incoming webhooks.
package struct SlackAction: Sendable {
    /// Where to; the address is a key by itself.
    package let url: ActionURL
    /// nil: the webhook's own.
    package let channel: String?
    /// nil: a sentence with the event's kind, entity and id.
    package let messageTemplate: Template?

    /// `{"text":…,"type":"mrkdwn","channel":…}`.
    package func body(for event: ObservedEvent) -> [UInt8] {
        let text =
            messageTemplate?.render(event, escaping: .slack)
            ?? "Event: \(event.eventType.rawValue) on \(event.entityType) (ID: \(event.entityID ?? "unknown"))"
        var body = Array("{\"text\":".utf8) + JSONText.string(text) + Array(",\"type\":\"mrkdwn\"".utf8)
        if let channel { body += Array(",\"channel\":".utf8) + JSONText.string(channel) }
        return body + Array("}".utf8)
    }
}
