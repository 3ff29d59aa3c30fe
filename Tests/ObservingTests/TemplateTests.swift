import Capture
import Testing

@testable import Observing

@Suite struct TemplateTests {
    static let row =
        #"{"id":42,"status":"paid","total":12.50,"big":12345678901234567890.123,"name":"O'Neil \"x\"\n\\","empty":"","none":null,"ok":true,"tags":["a", "b<c"],"address":{"city":"Z\u00fcrich"},"two words":1,"trick":"{{ status }}","data.id":"literal","sla":"a\/b","mark":"<!channel> & co","nul":"a\u0000b"}"#

    private static func event() throws -> ObservedEvent {
        try EventSamples.event(
            #"{"id":"m.1","entity_type":"Order","operation":"UPDATE","entity_id":"42,7","timestamp":"2026-11-23T07:09:12.123456+00:00","entity":\#(row)}"#
        )
    }

    /// What each gives as plain text.
    @Test(arguments: [
        // A field.
        ("{{ id }}", "42"), ("{{ status }}", "paid"), ("Order {{ id }} is {{ status }}.", "Order 42 is paid."), ("{{ id }}{{ id }}", "4242"),
        ("{{ total }}", "12.50"), ("{{ big }}", "12345678901234567890.123"), ("{{ name }}", "O'Neil \"x\"\n\\"), ("[{{ empty }}]", "[]"),
        ("{{ none }}", "null"),
        ("{{ ok }}", "true"), ("{{ tags }}", #"["a", "b<c"]"#), ("{{ address }}", #"{"city":"Z\u00fcrich"}"#), ("{{ two words }}", "1"),
        ("{{ sla }}", "a/b"),
        // As its examples have it.
        ("{{ data.status }}", "paid"), ("{{ data.total }}", "12.50"), ("{{ data.id }}", "literal"),
        // The event's own.
        ("{{ event.id }}", "m.1"), ("{{ event.entity_type }}", "Order"), ("{{ event.operation }}", "UPDATE"), ("{{ event.event_type }}", "UPDATE"),
        ("{{ event.entity_id }}", "42,7"), ("{{ event.timestamp }}", "2026-11-23T07:09:12.123456+00:00"),
        // One blank on each side, exactly.
        ("{{id}}", "{{id}}"), ("{{ id}}", "{{ id}}"), ("{{id }}", "{{id }}"), ("{{  id }}", "{{  id }}"), ("{{ id  }}", "{{ id  }}"),
        ("{{\tid }}", "{{\tid }}"),
        ("{ id }", "{ id }"), ("{{ }}", "{{ }}"), ("{{  }}", "{{  }}"), ("{{", "{{"), ("}}", "}}"), ("{{ id", "{{ id"), ("id }}", "id }}"),
        ("{{ id }", "{{ id }"), ("{{{ id }}}", "{42}"), ("{{ a {{ id }} b }}", "{{ a 42 b }}"), ("{{ {{ id }} }}", "{{ 42 }}"),
        // What the event has nothing for stays.
        ("{{ missing }}", "{{ missing }}"), ("{{ data.missing }}", "{{ data.missing }}"), ("{{ event.missing }}", "{{ event.missing }}"),
        ("{{ address.city }}", "{{ address.city }}"), ("{{ data.address.city }}", "{{ data.address.city }}"), ("{{ ID }}", "{{ ID }}"),
        ("{{ changes }}", "{{ changes }}"), ("{{ entity_type }}", "{{ entity_type }}"),
        // What was put in is not looked through.
        ("{{ trick }}", "{{ status }}"), ("{{ trick }} {{ status }}", "{{ status }} paid"), ("", ""), ("plain", "plain"),
        ("ü {{ status }} 😀", "ü paid 😀"),
    ])
    func putsInValues(template: String, expected: String) throws {
        #expect(Template(template).render(try Self.event(), escaping: .none) == expected)
    }

    /// What each gives in JSON.
    @Test(arguments: [
        (#"{"n":"{{ name }}"}"#, #"{"n":"O'Neil \"x\"\n\\"}"#), (#"{"amount":{{ total }}}"#, #"{"amount":12.50}"#),
        (#"{"ok":{{ ok }},"none":{{ none }}}"#, #"{"ok":true,"none":null}"#),
        (#"{"tags":{{ tags }}}"#, #"{"tags":["a", "b<c"]}"#), (#"{"a":{{ address }}}"#, #"{"a":{"city":"Z\u00fcrich"}}"#),
        // In a string of the template the JSON of a list is a text like any other.
        (#"{"tags":"{{ tags }}"}"#, #"{"tags":"[\"a\", \"b<c\"]"}"#),
        (#"{"a":"see {{ address }}, \"{{ status }}\""}"#, #"{"a":"see {\"city\":\"Z\\u00fcrich\"}, \"paid\""}"#),
        (#"{"n":"{{ total }} {{ none }}"}"#, #"{"n":"12.50 null"}"#), (#"{"s":"{{ sla }}"}"#, #"{"s":"a/b"}"#),
        (#"{"z":"{{ nul }}"}"#, #"{"z":"a\u0000b"}"#),
        (#"{"whole":{{ event.data }}}"#, #"{"whole":\#(row)}"#),
        (#"{"id":"{{ event.id }}","missing":"{{ missing }}"}"#, #"{"id":"m.1","missing":"{{ missing }}"}"#),
    ])
    func escapesInJSON(template: String, expected: String) throws {
        let bytes = Template(template).renderJSON(try Self.event())
        #expect(String(decoding: bytes, as: UTF8.self) == expected)
        #expect(JSONValue(bytes) != nil)
    }

    @Test(arguments: [
        ("Order {{ id }}", #""Order 42""#), (#"{"n":{{ status }}}"#, #""{\"n\":paid}""#), ("{{ missing }}", #""{{ missing }}""#),
        ("a\nb", #""a\nb""#),
    ])
    func sendsWhatIsNoJSONAsAString(template: String, expected: String) throws {
        #expect(String(decoding: Template(template).renderJSON(try Self.event()), as: UTF8.self) == expected)
    }

    /// What a row says never ends a string of the template, and adds no member.
    @Test(arguments: [#""}"#, #"","admin":true,"x":""#, "\\", "\\\"", "\u{2028}", "\n", "\u{0}", "{{ status }}", "é\u{301}"])
    func isNotLeftByARow(text: String) throws {
        for value in [JSONText.string(text), Array("[".utf8) + JSONText.string(text) + Array("]".utf8)] {
            let event = try EventSamples.insert(#"{"name":\#(String(decoding: value, as: UTF8.self)),"status":"paid"}"#)
            let body = try #require(JSONValue(Template(#"{"name":"{{ name }}","status":"{{ status }}"}"#).renderJSON(event))?.object)
            #expect(body.members.map { String(decoding: $0.name, as: UTF8.self) } == ["name", "status"])
            let expected = value.first == UInt8(ascii: "[") ? String(decoding: value, as: UTF8.self) : text
            #expect(body["name"]?.string?.utf8.elementsEqual(expected.utf8) == true)
        }
    }

    @Test(arguments: [
        ("orders.{{ status }}", "orders.paid"), ("o.{{ id }}.x", "o.42.x"), ("o.{{ name }}", "o.O%27Neil%20%22x%22%0A%5C"),
        ("o.{{ empty }}", "o.%empty"),
        ("o.{{ none }}", "o.%null"), ("o.{{ missing }}", "o.%unknown"), ("o.{{ event.missing }}", "o.%unknown"),
        ("o.{{ event.entity_id }}", "o.42%2C7"),
        ("o.{{ total }}", "o.12%2E50"), ("o.{{ trick }}", "o.%7B%7B%20status%20%7D%7D"),
        ("{{ event.entity_type }}-{{ event.operation }}", "Order-UPDATE"),
        ("o.{{ tags }}", "o.%5B%22a%22%2C%20%22b%3Cc%22%5D"),
    ])
    func encodesTokens(template: String, expected: String) throws {
        #expect(Template(template).render(try Self.event(), escaping: .subjectToken) == expected)
    }

    @Test func escapesForSlack() throws {
        #expect(Template("<b> {{ mark }} {{ tags }}").render(try Self.event(), escaping: .slack) == #"<b> &lt;!channel&gt; &amp; co ["a", "b&lt;c"]"#)
    }

    @Test func hasNoRow() throws {
        let event = try EventSamples.event(#"{"id":"1","entity_type":"Order","operation":"TRUNCATE"}"#)
        #expect(
            Template("{{ id }} {{ event.data }} {{ event.entity_id }}").render(event, escaping: .none)
                == "{{ id }} {{ event.data }} {{ event.entity_id }}")
    }

    @Test func knowsWhetherItIsFixed() {
        #expect(Template("a {{b}}").isFixed)
        #expect(!Template("a {{ b }}").isFixed)
    }
}
