import Testing
import WAL
import WireMessages

@testable import Capture

/// What is read back of the rows that were written, in each format that names its table.
@Suite struct ReadRowTests {
    private static let columns: [WireMessage.Column] = [.init(name: "id", isKey: true), .init(name: "a \"b\""), .init(name: "big")]

    private static func rows(_ messages: [[UInt8]], _ format: EventFormat = .slotstream) throws -> [ReadRow?] {
        try Outcome(
            of: [WireMessage.begin(0x100), WireMessage.relation(columns: columns)] + messages + [WireMessage.commit(0x100)],
            CaptureConfiguration(format: format)
        ).events.map { EventFormat.readRow($0.payload) }
    }

    private static func text(_ columns: [ReadRow.Column]?) -> [String]? {
        columns?.map { "\(String(decoding: $0.name, as: UTF8.self))=\(String(decoding: $0.json, as: UTF8.self))" }
    }

    @Test(arguments: [EventFormat.slotstream, .cloudevents])
    func rowsAreReadBackAsTheyWereWritten(_ format: EventFormat) throws {
        let found = try Self.rows(
            [
                WireMessage.insert([.text("1"), .text("x \n \"y\""), .null]),
                WireMessage.update(key: [.text("1"), .null, .null], new: [.text("2"), .text("z"), .unchanged]),
                WireMessage.delete(key: [.text("2"), .null, .null]), WireMessage.truncate([16_400]),
            ], format)
        try #require(found.count == 4)
        #expect(found.map(\.?.operation) == ["INSERT", "UPDATE", "DELETE", "TRUNCATE"])
        #expect(found.allSatisfy { $0?.schema == "public" && $0?.table == "tb_order" && $0?.transactionID == TransactionID(735) })
        #expect(found.map(\.?.position.ordinal) == [1, 2, 3, 4])
        #expect(Self.text(found[0]?.row) == ["id=\"1\"", #"a "b"="x \n \"y\"""#, "big=null"])
        #expect(Self.text(found[1]?.row) == ["id=\"2\"", #"a "b"="z""#] && Self.text(found[1]?.old) == ["id=\"1\""])
        #expect(Self.text(found[2]?.row) == ["id=\"2\""] && found[3]?.row == nil)
    }

    @Test func whatNamesNoTableIsNoRow() throws {
        let message = try Outcome(
            of: [
                WireMessage.begin(0x100), WireMessage.message(Array(#"{"entity_type":"A","operation":"B","entity_id":1}"#.utf8)),
                WireMessage.commit(0x100),
            ])
        #expect(try EventFormat.readRow(#require(message.events.first).payload) == nil)
        for text in ["", "{}", "[]", #"{"source":"x","data":1}"#, #"{"source":{"schema":"s","table":"t"},"operation":"INSERT"}"#] {
            #expect(EventFormat.readRow(Array(text.utf8)) == nil)
        }
        #expect(ReadRow.columns(of: Array("[1]".utf8)) == nil)
    }

    @Test(arguments: ["READ", "INSERT"])
    func aRowOfABackfillHasItsPlaceFromItsID(_ operation: String) throws {
        let id = "7.5.1.735.00000000016B3748.2.b.3.17.16384.16390.4.9"
        let body =
            #"{"id":"\#(id)","entity_type":"Order","operation":"\#(operation)","timestamp":"2026-11-23T07:09:12.123456+00:00","entity":{"id":1,"a":null},"backfill":{"id":"3","lsn":"0/16B3800"},"source":{"database":"d","schema":"public","table":"tb_order"}}"#
        for text in [body, #"{"specversion":"1.0","source":"/slotstream/7/d","data":\#(body)}"#] {
            let row = try #require(EventFormat.readRow(Array(text.utf8)))
            #expect(row.operation == operation && row.table == "tb_order" && row.transactionID == nil && row.commitTimestamp == nil)
            #expect(row.position == Position(commitLSN: LSN(0x16B3748), ordinal: 2))
            #expect(row.backfill?.lsn == LSN(0x16B3800) && row.backfill?.place == BackfillPlace("3.17.16384.16390.4.9"))
            #expect(row.order == StreamOrder(row.position, run: 3, count: 17) && row.order > StreamOrder(row.position))
            #expect(Self.text(row.row) == ["id=1", "a=null"])
        }
        // Neither a place nor an LSN that could be believed.
        for (part, other) in [(".b.3.17", ".b.3.x"), (".b.3.17.16384.16390.4.9", ""), ("0/16B3800", "x"), (#""lsn""#, #""no""#)] {
            #expect(EventFormat.readRow(Array(body.replacing(part, with: other).utf8)) == nil, "\(part)")
        }
    }
}
