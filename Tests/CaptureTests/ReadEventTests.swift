import Testing
import WAL

@testable import Capture

/// What is read of an event whose values and names look like what is looked for.
@Suite struct ReadEventTests {
    private static func event(last: String, entity: String = "{}", table: String = "tb_order") -> String {
        #"{"id":"7.5.1.70.0000000000001000.3","entity_type":"Order","operation":"INSERT","entity_id":"1","timestamp":"2026-11-23T07:09:12.123456+00:00","entity":\#(entity),"transaction":{"id":70,"lsn":"0/1000","ordinal":3,"last":\#(last)},"source":{"database":"shop","schema":"public","table":"\#(table)"}}"#
    }

    private static func read(_ payload: String, subject: String = "p.Order.INSERT") -> ReadEvent? {
        EventFormat.read(Array(payload.utf8), subject: subject)
    }

    private static func isLast(_ payload: String) -> Bool? { read(payload)?.isLast }

    @Test func readsTheFlagOfAnEvent() {
        #expect(Self.isLast(Self.event(last: "true")) == true)
        #expect(Self.isLast(Self.event(last: "false")) == false)
    }

    @Test(arguments: [
        #"{"last":true}"#, #"{"transaction":{"last":true}}"#, #"{"a":"\"last\":true"}"#,
        #"{"j":{"last":true},"k":"},\"last\":true"}"#, #"{"j":[{"last":false},{"last":true}]}"#,
    ])
    func usersDataThatLooksLikeTheFlagDoesNotCount(_ entity: String) {
        #expect(Self.isLast(Self.event(last: "false", entity: entity)) == false)
        let other = entity.replacing("true", with: "false")
        #expect(Self.isLast(Self.event(last: "true", entity: other)) == true)
    }

    @Test(arguments: [#"x\",\"last\":true,\""#, #"\"last\":true"#, #"last\":true"#])
    func aNameThatLooksLikeTheFlagDoesNotCount(_ table: String) {
        #expect(Self.isLast(Self.event(last: "false", table: table)) == false)
        #expect(Self.isLast(Self.event(last: "true", table: table.replacing("true", with: "false"))) == true)
    }

    @Test(arguments: [
        "", "\"last\":", "true", "[]", "{}", "{\"last\":true}", "\u{0}", #"{"operation":1}"#, #"{"operation":null}"#,
        #"{"data":1}"#, #"{"data":{}}"#, #"{"transaction":{"last":true}}"#,
    ])
    func whatIsNoEventIsNotRead(_ payload: String) {
        #expect(Self.read(payload) == nil)
    }

    /// What somebody else wrote in such words is shown where it is asked for, and proves nothing.
    @Test func whatHasNoTransactionHasNoPosition() {
        let gap = #"{"id":"x","operation":"GAP","timestamp":"2026-11-23T07:09:12.123456+00:00","gap":{}}"#
        #expect(Self.read(gap) == ReadEvent(entity: "", operation: "GAP"))
        let row = #"{"id":"x","entity_type":"Order","operation":"READ","backfill":{"id":"1","lsn":"0/1"},"source":{"schema":"s"}}"#
        #expect(Self.read(row) == ReadEvent(entity: "Order", operation: "READ"))
        let ofFraiseQL = #"{"event_type":"CUSTOM","entity_type":"Order","data":{"last":true}}"#
        #expect(Self.read(ofFraiseQL, subject: "p.Order.SHIPPED") == ReadEvent(entity: "Order", operation: "SHIPPED"))
    }

    @Test(arguments: [
        #""lsn":"0/1000","ordinal":-3"#, #""lsn":"0/1000","ordinal":3.5"#, #""lsn":"0/1000","ordinal":"3""#,
        #""lsn":"0/1000","ordinal":99999999999999999999"#, #""lsn":4096,"ordinal":3"#, #""lsn":"","ordinal":3"#,
        #""ordinal":3"#, #""lsn":"0/1000""#,
    ])
    func aPositionThatIsNoneIsNotKnown(_ members: String) throws {
        let text = Self.event(last: "true").replacing(#""lsn":"0/1000","ordinal":3"#, with: members)
        let event = try #require(Self.read(text))
        #expect(event.position == nil && event.isLast == true)
    }

    @Test func readsTheCommitsTimeFromEventsOfRowsOnly() throws {
        let time = "2026-11-23T07:09:12.123456+00:00"
        let row = Self.event(last: "true", entity: #"{"timestamp":"2000-01-01T00:00:00.000000+00:00","source":{"database":"x"}}"#)
        #expect(Self.read(row)?.commitTimestamp?.description == time)
        #expect(Self.read(#"{"specversion":"1.0","time":"x","data":\#(row)}"#)?.commitTimestamp?.description == time)
        let message = row.replacing(#","schema":"public","table":"tb_order""#, with: "")
        let event = try #require(Self.read(message))
        #expect(event.kind == .message && event.commitTimestamp == nil)
    }

    @Test func anEventStoredLateReadsAsEver() throws {
        let original = try #require(MessageID("7.5.1.70.0000000000001000.3"))
        let payload = Array(Self.event(last: "true").utf8)
        let late = EventFormat.late(payload, original: original)
        #expect(EventFormat.isObject(late) && EventFormat.read(late, subject: "") == EventFormat.read(payload, subject: ""))
    }

    @Test func whatPostgreSQLStoresAsJSONIsReadHoweverDeepItIs() {
        let deep = String(repeating: "[", count: 20_000) + String(repeating: "]", count: 20_000)
        #expect(Self.isLast(Self.event(last: "true", entity: "{\"j\":\(deep)}")) == true)
        #expect(Self.isLast(Self.event(last: "true", entity: "{\"j\":\(deep.dropLast())}")) == nil)
    }
}
