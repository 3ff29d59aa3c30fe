import Capture
import Testing

@testable import Observing

@Suite struct ObservedEventTests {
    @Test func readsOurOwnFormat() throws {
        let event = try EventSamples.event(EventSamples.update, id: "header.1")
        #expect(event.id == "header.1")
        #expect(event.entityType == "Order")
        #expect(event.eventType == .update)
        #expect(event.entityID == "42")
        #expect(event.timestamp == "2026-11-23T07:09:12.123456+00:00")
        #expect(event.field("total").map { String(decoding: $0.text, as: UTF8.self) } == "12.50")
        #expect(event.field("nothing") == nil)
        #expect(event.payload == Array(EventSamples.update.utf8))
        #expect(try EventSamples.event(EventSamples.update).id == "7439.5.1.735.00000000016B3748.1")
        #expect(try EventSamples.event(EventSamples.update, id: "").id == "7439.5.1.735.00000000016B3748.1")
    }

    @Test func readsFraiseQLsFormat() throws {
        let payload =
            #"{"id":"5f0c","event_type":"CUSTOM","entity_type":"Order","entity_id":"2f1c","data":{"operation":"x","total":1e2},"changes":null,"timestamp":"2026-11-23T07:09:12Z"}"#
        let event = try EventSamples.event(payload, id: "m", subject: "fraiseql.mutation.Order.TRUNCATE")
        #expect(event.operation == "TRUNCATE")
        #expect(event.eventType == .custom)
        #expect(event.field("total").map { String(decoding: $0.text, as: UTF8.self) } == "1e2")
        #expect(try EventSamples.event(payload).operation == "CUSTOM")
    }

    @Test func readsCloudEvents() throws {
        let event = try EventSamples.event(
            #"{"specversion":"1.0","id":"m","source":"/slotstream/7/shop","type":"Order.UPDATE","datacontenttype":"application/json","data":\#(EventSamples.update)}"#
        )
        #expect(event.eventType == .update)
        #expect(event.entityID == "42")
        #expect(event.field("status")?.string == "shipped")
    }

    @Test(arguments: [
        "", "null", "[]", "{}", "1", #"{"entity_type":"Order"}"#, #"{"operation":"INSERT"}"#, #"{"entity_type":"","operation":"INSERT"}"#,
        #"{"entity_type":"Order","operation":""}"#, #"{"entity_type":1,"operation":"INSERT"}"#, #"{"entity_type":"Order","operation":"INSERT"} x"#,
        #"{"id":"1.gap.a","operation":"GAP","timestamp":"2026-11-23T07:09:12Z","gap":{}}"#, #"{"data":{"data":{}}}"#, #"{"event_type":"INSERT"}"#,
    ])
    func refusesWhatIsNoEvent(payload: String) {
        #expect(ObservedEvent(payload: Array(payload.utf8), messageID: "1") == nil)
    }

    @Test func refusesWhatIsNotUTF8() {
        let payload = Array(#"{"entity_type":"Order","operation":"INSERT","entity":{"a":""#.utf8) + [0xFF] + Array(#""}}"#.utf8)
        #expect(ObservedEvent(payload: payload, messageID: "1") == nil)
    }

    @Test func neverFollowsTheDepthOfAnInput() throws {
        let depth = 200_000
        let deep = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        let event = try EventSamples.insert(#"{"deep":\#(deep)}"#)
        #expect(event.field("deep")?.text.count == 2 * depth)
        #expect(Template("{{ deep }}").render(event, escaping: .none).utf8.count == 2 * depth)
    }

    @Test func takesTheLastOfSeveralMembers() throws {
        #expect(try EventSamples.insert(#"{"a":1,"a":2}"#).field("a").map { Array($0.text) } == Array("2".utf8))
    }

    @Test func tellsSpellingsOfUnicodeApart() throws {
        let event = try EventSamples.insert("{\"e\u{301}\":1,\"\u{E9}\":2}")
        #expect(event.field("e\u{301}").map { Array($0.text) } == Array("1".utf8))
        #expect(event.field("\u{E9}").map { Array($0.text) } == Array("2".utf8))
    }

    @Test(arguments: [
        (#""a":1"#, #""entity_id":null"#, nil), (#""a":1"#, #""entity_id":7"#, "7"), (#""a":1"#, #""entity_id":"x,y""#, "x,y"),
        (#""a":1"#, #""x":1"#, nil), (#""a":1"#, #""entity_id":[1]"#, nil),
    ])
    func readsIdentities(row: String, identity: String, expected: String?) throws {
        let event = try EventSamples.event(#"{"id":"1","entity_type":"Order","operation":"INSERT",\#(identity),"entity":{\#(row)}}"#)
        #expect(event.entityID == expected)
    }

    @Test func encodesIDsForHeaders() throws {
        #expect(try EventSamples.event(EventSamples.update, id: "7439.5.b.1").headerID == "7439.5.b.1")
        #expect(try EventSamples.event(EventSamples.update, id: "a%b\r\nX: 1é").headerID == "a%25b%0D%0AX: 1%C3%A9")
    }

    // MARK: - Changes

    private static func kind(_ change: ObservedEvent.FieldChange) -> String {
        switch change {
        case .changed(let old, let new):
            "\(old.map { String(decoding: $0.text, as: UTF8.self) } ?? "-")→\(new.map { String(decoding: $0.text, as: UTF8.self) } ?? "-")"
        case .unchanged: "unchanged"
        case .unknown: "unknown"
        }
    }

    @Test(arguments: [
        // Replica identity FULL: the whole old row.
        (#""entity":{"a":1,"b":2},"before":{"a":0,"b":2},"changes":{"a":{"old":0,"new":1}}"#, ["0→1", "unchanged", "unchanged"]),
        // The key has changed: of the old row the key is known, and nothing else.
        (#""entity":{"a":1,"b":2},"before":{"a":0},"changes":{"a":{"old":0,"new":1}}"#, ["0→1", "unknown", "unchanged"]),
        // What was not sent because it was not touched is not in the row.
        (#""entity":{"a":1},"before":{"a":0},"changes":{"a":{"old":0,"new":1}},"unchanged":["b"]"#, ["0→1", "unchanged", "unchanged"]),
        // The default replica identity.
        (#""entity":{"a":1,"b":2}"#, ["unknown", "unknown", "unknown"]),
        // A logical message says itself what has changed.
        (#""entity":{"a":1,"b":2},"changes":{"a":{"old":0,"new":1}}"#, ["0→1", "unchanged", "unchanged"]),
        (#""entity":{"a":1,"b":2},"changes":{}"#, ["unchanged", "unchanged", "unchanged"]),
        (#""entity":{"a":1,"b":2},"changes":null"#, ["unknown", "unknown", "unknown"]),
        (#""entity":{"a":1,"b":2},"changes":{"a":{"new":1}}"#, ["-→1", "unchanged", "unchanged"]),
    ])
    func tellsWhatHasChanged(members: String, expected: [String]) throws {
        let event = try EventSamples.event(#"{"id":"1","entity_type":"Order","operation":"UPDATE","entity_id":"42",\#(members)}"#)
        #expect(["a", "b", "c"].map { Self.kind(event.change(of: $0)) } == expected)
    }

    @Test(arguments: ["INSERT", "DELETE", "TRUNCATE"])
    func knowsThatOnlyUpdatesChange(operation: String) throws {
        let event = try EventSamples.event(#"{"id":"1","entity_type":"Order","operation":"\#(operation)","entity":{"a":1}}"#)
        #expect(Self.kind(event.change(of: "a")) == "unchanged")
    }
}
