import Capture
import Testing

@testable import Observing

/// Whether a text has nothing that could end a header's line.
func isOneLine(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy { ![.control, .lineSeparator, .paragraphSeparator].contains($0.properties.generalCategory) }
}

@Suite struct ActionTests {
    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private static func event(_ row: String = #"{"id":42,"status":"paid","total":12.50,"email":"user@example.com","name":"Ève <x>"}"#) throws
        -> ObservedEvent
    {
        try EventSamples.event(
            #"{"id":"m.1","entity_type":"Order","operation":"INSERT","entity_id":"42","timestamp":"2026-11-23T07:09:12.123456+00:00","entity":\#(row),"transaction":{"id":735}}"#
        )
    }

    // MARK: - Webhooks

    private static func webhook(template: String? = nil, headers: [ActionHeader] = []) throws -> WebhookAction {
        WebhookAction(
            url: try ActionURL("https://example.com/hook"), method: "POST", headers: headers, bodyTemplate: template.map { Template($0) },
            signingSecret: nil)
    }

    @Test func sendsTheRowAlone() throws {
        #expect(Self.text(try Self.webhook().body(for: try Self.event(#"{"id":42, "total":12.50}"#))) == #"{"id":42, "total":12.50}"#)
        let truncate = try EventSamples.event(#"{"id":"1","entity_type":"Order","operation":"TRUNCATE"}"#)
        #expect(Self.text(try Self.webhook().body(for: truncate)) == "null")
    }

    @Test func sendsWhatTheTemplateMakes() throws {
        #expect(Self.text(try Self.webhook(template: #"{"o":{{ id }}}"#).body(for: try Self.event())) == #"{"o":42}"#)
        #expect(Self.text(try Self.webhook(template: "Order {{ id }}").body(for: try Self.event())) == #""Order 42""#)
    }

    @Test func tellsTheEventsIDTwice() throws {
        let own = ActionHeader(name: "Authorization", value: ActionSecret("Bearer x"))
        let headers = try Self.webhook(headers: [own]).headers(for: try Self.event(), signature: "t=1,v1=00")
        #expect(
            headers.map { "\($0.name): \($0.value)" } == [
                "Content-Type: application/json", "Idempotency-Key: m.1", "Nats-Msg-Id: m.1", "X-FraiseQL-Signature-256: t=1,v1=00",
                "Authorization: Bearer x",
            ])
        let other = ActionHeader(name: "content-TYPE", value: ActionSecret("text/plain"))
        #expect(
            try Self.webhook(headers: [other]).headers(for: try Self.event(), signature: nil).map(\.name) == [
                "Idempotency-Key", "Nats-Msg-Id", "content-TYPE",
            ])
    }

    @Test func signsAsFraiseQLDoes() {
        var asked: (key: [UInt8], message: [UInt8])?
        let header = WebhookSignature.header(secret: ActionSecret("key"), body: Array("{}".utf8), unixSeconds: 1_764_374_400) {
            asked = ($0, $1)
            return [0x00, 0x0F, 0xA0, 0xFF]
        }
        #expect(header == "t=1764374400,v1=000fa0ff")
        #expect(asked.map { Self.text($0.key) } == "key")
        #expect(asked.map { Self.text($0.message) } == "1764374400.{}")
    }

    // MARK: - Slack

    @Test func tellsSlack() throws {
        let url = try ActionURL("https://hooks.slack.com/services/T/B/x")
        #expect(
            Self.text(SlackAction(url: url, channel: nil, messageTemplate: nil).body(for: try Self.event()))
                == #"{"text":"Event: INSERT on Order (ID: 42)","type":"mrkdwn"}"#)
        #expect(
            Self.text(SlackAction(url: url, channel: "#orders", messageTemplate: Template("*{{ name }}*\n{{ total }}")).body(for: try Self.event()))
                == ##"{"text":"*Ève &lt;x&gt;*\n12.50","type":"mrkdwn","channel":"#orders"}"##)
        let truncate = try EventSamples.event(#"{"id":"1","entity_type":"Order","operation":"TRUNCATE"}"#)
        #expect(
            Self.text(SlackAction(url: url, channel: nil, messageTemplate: nil).body(for: truncate))
                == #"{"text":"Event: CUSTOM on Order (ID: unknown)","type":"mrkdwn"}"#)
    }

    // MARK: - Mail

    private static func email(to: String? = nil, subject: String = "Order {{ id }}") throws -> EmailAction {
        EmailAction(
            recipient: try to.map { .template(Template($0)) } ?? .fixed(#require(MailAddress("ops@example.com"))),
            subject: .template(Template(subject)),
            bodyTemplate: Template("Hello {{ name }}\n{{ missing }}"), replyTo: MailAddress("Shop <shop@example.com>"))
    }

    @Test func writesAMail() throws {
        let message = try Self.email(to: "{{ email }}").message(for: try Self.event())
        #expect(message.to.address == "user@example.com")
        #expect(message.subject == "Order 42")
        #expect(message.body == "Hello Ève <x>\n{{ missing }}")
        #expect(message.replyTo?.text == "Shop <shop@example.com>")
        #expect(try Self.email().message(for: try Self.event()).to.address == "ops@example.com")
    }

    @Test func keepsAFixedSubjectAsItStands() throws {
        let action = EmailAction(
            recipient: .fixed(try #require(MailAddress("ops@example.com"))), subject: .fixed("Order {{ id }}"), bodyTemplate: Template("x"),
            replyTo: nil)
        #expect(try action.message(for: try Self.event()).subject == "Order {{ id }}")
    }

    /// No row adds a header, a recipient or a line.
    @Test(arguments: [
        "x\r\nBcc: victim@example.com", "x\nBcc: victim@example.com", "x\rY", "x\u{0}y", "x\u{85}y", "x\u{2028}Bcc: y", "\r\n.\r\nMAIL FROM:<x>",
        "=?utf-8?B?DQpCY2M6IHg=?=",
        "\u{1B}[31m",
    ])
    func letsNoRowIntoAHeader(text: String) throws {
        let row = #"{"id":\#(String(decoding: JSONText.string(text), as: UTF8.self)),"name":"x","email":"user@example.com"}"#
        let subject = try Self.email().message(for: try Self.event(row)).subject
        #expect(isOneLine(subject) && subject.hasPrefix("Order "))
        #expect(throws: RenderingError.recipient) {
            try Self.email(to: "user@example.com{{ id }}").message(for: try Self.event(row))
        }
    }

    @Test(arguments: ["", "no address", "a@b, c@d", "a@b\r\nBcc: c@d", "null"])
    func refusesRecipients(text: String) throws {
        let row = #"{"id":1,"name":"x","email":\#(String(decoding: JSONText.string(text), as: UTF8.self))}"#
        #expect(throws: RenderingError.recipient) { try Self.email(to: "{{ email }}").message(for: try Self.event(row)) }
    }

    @Test func tellsOfNoRow() throws {
        #expect(
            RenderingError.recipient.description
                == "to_template gives no email address for this event. Correct the row, or the template of this observer.")
    }

    // MARK: - PostgreSQL, the log, NATS

    @Test func callsAFunctionWithFraiseQLsNames() throws {
        let action = DatabaseAction(function: ["app", "fn"], params: JSONValue(Array(#"{"channel":"ops"}"#.utf8)))
        #expect(
            Self.text(action.argument(for: try Self.event(#"{"total":12.50}"#)))
                == #"{"event":{"event_type":"INSERT","data":{"total":12.50},"id":"m.1","entity_type":"Order","operation":"INSERT","entity_id":"42","timestamp":"2026-11-23T07:09:12.123456+00:00","transaction":{"id":735}},"params":{"channel":"ops"}}"#
        )
        let fraiseQL = #"{"id":"5f0c","event_type":"INSERT","entity_type":"Order","entity_id":"2f1c","data":{"total":1},"changes":null}"#
        #expect(
            Self.text(DatabaseAction(function: ["fn"], params: nil).argument(for: try EventSamples.event(fraiseQL)))
                == #"{"event":{"event_type":"INSERT","data":{"total":1},"id":"5f0c","entity_type":"Order","entity_id":"2f1c","changes":null},"params":null}"#
        )
        let truncate = try EventSamples.event(#"{"id":"1","entity_type":"Order","operation":"TRUNCATE"}"#)
        #expect(
            Self.text(DatabaseAction(function: ["fn"], params: nil).argument(for: truncate))
                == #"{"event":{"event_type":"CUSTOM","data":null,"id":"1","entity_type":"Order","operation":"TRUNCATE"},"params":null}"#)
    }

    @Test func writesALine() throws {
        #expect(LogAction(level: .warn, messageTemplate: Template("Order {{ id }}")).text(for: try Self.event()) == "Order 42")
    }

    @Test func publishesTheEventWhole() throws {
        let event = try Self.event()
        let action = NATSAction(subjectTemplate: Template("orders.{{ status }}"), bodyTemplate: nil)
        #expect(try action.subject(for: event) == "orders.paid")
        #expect(action.body(for: event) == event.payload)
        #expect(Self.text(NATSAction(subjectTemplate: Template("o"), bodyTemplate: Template(#"{"o":{{ id }}}"#)).body(for: event)) == #"{"o":42}"#)
    }

    @Test func refusesASubjectThatIsTooLong() throws {
        let event = try Self.event(#"{"status":"\#(String(repeating: "x", count: 3_000))"}"#)
        #expect(throws: RenderingError.subjectTooLong(byteCount: 3_007, limit: 2_048)) {
            try NATSAction(subjectTemplate: Template("orders.{{ status }}"), bodyTemplate: nil).subject(for: event)
        }
    }
}
