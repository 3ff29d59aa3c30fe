import History
import Testing
import WAL

@Suite struct StreamTailTests {
    private static func event(last: String, entity: String = "{}", table: String = "tb_order") -> String {
        #"{"id":"7.5.1.70.0000000000001000.3","entity_type":"Order","operation":"INSERT","entity_id":"1","timestamp":"2026-11-23T07:09:12.123456+00:00","entity":\#(entity),"transaction":{"id":70,"lsn":"0/1000","ordinal":3,"last":\#(last)},"source":{"database":"shop","schema":"public","table":"\#(table)"}}"#
    }

    private static func isLast(_ payload: String) -> Bool { StreamTail.isLast(Array(payload.utf8)) == true }

    @Test func readsTheFlagOfAnEvent() {
        #expect(Self.isLast(Self.event(last: "true")))
        #expect(!Self.isLast(Self.event(last: "false")))
    }

    @Test(arguments: [
        #"{"last":true}"#, #"{"transaction":{"last":true}}"#, #"{"a":"\"last\":true"}"#,
        #"{"j":{"last":true},"k":"},\"last\":true"}"#, #"{"j":[{"last":false},{"last":true}]}"#,
    ])
    func usersDataThatLooksLikeTheFlagDoesNotCount(_ entity: String) {
        #expect(!Self.isLast(Self.event(last: "false", entity: entity)))
        let other = entity.replacing("true", with: "false")
        #expect(Self.isLast(Self.event(last: "true", entity: other)))
    }

    @Test(arguments: [#"x\",\"last\":true,\""#, #"\"last\":true"#, #"last\":true"#])
    func aNameThatLooksLikeTheFlagDoesNotCount(_ table: String) {
        // Names come after the flag, and JSON has a backslash before each of their quotes.
        #expect(!Self.isLast(Self.event(last: "false", table: table)))
        #expect(Self.isLast(Self.event(last: "true", table: table.replacing("true", with: "false"))))
    }

    @Test(arguments: ["", "\"last\":", "\"last\":t", "true", "{}", "{\"last\":\"true\"}", "\u{0}"])
    func whatIsNoEventIsNoLast(_ payload: String) {
        #expect(!Self.isLast(payload))
    }

    @Test func everyCutOfAnEventIsReadWithoutATrap() {
        let event = Array(Self.event(last: "true").utf8)
        let flagEnd = Array("\"last\":true".utf8)
        for count in 0...event.count {
            let cut = Array(event[..<count])
            #expect(StreamTail.isLast(cut) == cut.contains(flagEnd))
        }
    }

    @Test func aFormatWithoutItDoesNotTell() {
        let payload = #"{"id":"x","data":{"last":true},"user_id":null,"cdc_source":"slotstream"}"#
        #expect(StreamTail.isLast(Array(payload.utf8)) == nil)
    }

    @Test func readsTheCommitsTimeFromEventsOfRowsOnly() {
        let time = "2026-11-23T07:09:12.123456+00:00"
        let row =
            #"{"id":"1","entity_type":"A","operation":"INSERT","timestamp":"\#(time)","entity":{"timestamp":"2000-01-01T00:00:00.000000+00:00","source":{"database":"x"}},"transaction":{"id":1,"lsn":"0/1","ordinal":1,"last":true},"source":{"database":"d","schema":"s","table":"t"}}"#
        #expect(StreamTail.commitTimestamp(in: Array(row.utf8))?.description == time)
        let envelope = #"{"specversion":"1.0","time":"x","data":\#(row)}"#
        #expect(StreamTail.commitTimestamp(in: Array(envelope.utf8))?.description == time)
        let message = row.replacing(#","schema":"s","table":"t""#, with: "")
        #expect(StreamTail.commitTimestamp(in: Array(message.utf8)) == nil)
        #expect(StreamTail.commitTimestamp(in: Array("{}".utf8)) == nil)
    }
}
