import Foundation
import History
import JetStreamPublishing
import Testing

@testable import Pipeline

@Suite struct BackfillRoomTests {
    private static let wanted = StreamConfiguration(name: "S", subjectPrefix: "p", duplicateWindow: .seconds(120), maxBytes: 1_000_000)

    private func read<Answer: Decodable>(_ json: String) throws -> Answer { try JSONDecoder().decode(Answer.self, from: Data(json.utf8)) }

    /// 100 messages of 1,000 bytes each.
    private func stream(_ limits: String) throws -> StreamInfo {
        try read(#"{"config":{"name":"S",\#(limits)},"created":"","state":{"messages":100,"bytes":100000,"first_seq":1,"last_seq":100}}"#)
    }

    private func consumer(_ floor: Int, pending: Int, _ name: String = "c", _ more: String = #""ack_policy":"explicit""#) throws -> ConsumerInfo {
        try read(
            #"{"name":"\#(name)","config":{"durable_name":"\#(name)",\#(more)},"delivered":{"stream_seq":\#(floor)},"ack_floor":{"stream_seq":\#(floor)},"num_pending":\#(pending)}"#)
    }

    private func verdict(
        _ limits: String, rows: UInt64 = 100, bytes: UInt64 = 100_000, seconds: Double = 1, _ consumers: [ConsumerInfo] = [],
        account: (limit: Int64?, taken: Int64)? = nil
    ) throws -> BackfillRoom.Verdict {
        BackfillRoom(try stream(limits), wanted: Self.wanted, consumers: consumers, account: account)
            .verdict(BackfillRoom.Need(rows: rows, byteCount: bytes, seconds: seconds))
    }

    @Test func whatFitsIsNotRefused() throws {
        let behind = try consumer(0, pending: 100)
        #expect(try verdict(#""max_bytes":200000"#, [behind]) == BackfillRoom.Verdict(freeBytes: 100_000))
        #expect(try verdict(#""max_bytes":-1"#, [behind]).refusal == nil)
        // What everybody has read may go.
        #expect(try verdict(#""max_bytes":150000"#).refusal == nil)
        #expect(try verdict(#""max_bytes":150000"#, [consumer(100, pending: 0)]).refusal == nil)
        #expect(try verdict(#""max_bytes":150000"#, [consumer(60, pending: 40)]).refusal == nil)
        #expect(try verdict(#""max_bytes":150000"#, [consumer(0, pending: 100, "c", #""ack_policy":"none""#)]).refusal == nil)
    }

    @Test func whatSomebodyHasNotReadIsNotRemoved() throws {
        for (limits, name) in [(#""max_bytes":150000"#, "max_bytes"), (#""max_msgs":150"#, "max_msgs")] {
            let found = try verdict(limits, [consumer(90, pending: 10, "near"), consumer(10, pending: 90, "far")])
            #expect(found.refusal?.contains("would remove events that consumer far has not read (\(name) = ") == true, "\(found)")
            #expect(found.remedy.contains("nats stream edit S --max-"))
        }
        let told = try verdict(#""max_bytes":150000"#, [consumer(0, pending: 100)]).remedy
        #expect(told.contains("--max-bytes=1048576`") && told.contains("--into-stream"))
    }

    @Test func rowsOfTheRunAreNotRemovedByLaterOnes() throws {
        #expect(try verdict(#""max_bytes":99999"#).refusal?.contains("rows of this very backfill (max_bytes") == true)
        #expect(try verdict(#""max_msgs":99"#).refusal?.contains("rows of this very backfill (max_msgs") == true)
        #expect(try verdict(#""max_msgs_per_subject":1"#).refusal?.contains("max_msgs_per_subject") == true)
        #expect(try verdict(#""max_age":60000000000"#, seconds: 61).refusal?.contains("max_age") == true)
        #expect(try verdict(#""max_age":60000000000"#, seconds: 59).refusal == nil)
    }

    @Test func aStreamThatRefusesNewMessagesIsNotFilled() throws {
        #expect(try verdict(#""max_bytes":150000,"discard":"new""#).refusal?.contains("discard = new") == true)
        #expect(try verdict(#""max_bytes":200000,"discard":"new""#).refusal == nil)
    }

    @Test func theAccountsRoomCountsWhereTheStreamHasNoneOfItsOwn() throws {
        let account: (limit: Int64?, taken: Int64) = (150_000, 100_000)
        #expect(try verdict(#""max_bytes":-1"#, account: account).refusal?.contains("the account of stream S has 48.8 KiB left") == true)
        #expect(try verdict(#""max_bytes":200000"#, account: account).refusal == nil)
        #expect(try verdict(#""max_bytes":-1"#, account: (nil, 100_000)) == BackfillRoom.Verdict())
        let made = BackfillRoom(nil, wanted: Self.wanted, consumers: [], account: nil)
        #expect(made.verdict(BackfillRoom.Need(rows: 1, byteCount: 1_000_000, seconds: 1)) == BackfillRoom.Verdict(freeBytes: 1_000_000))
        #expect(made.verdict(BackfillRoom.Need(rows: 1, byteCount: 1_000_001, seconds: 1)).refusal?.contains("this very backfill") == true)
    }

    @Test func aPlansFirstLineHasTheRows() {
        #expect(BackfillPlan.estimatedRows(inPlan: "Seq Scan on tb_order  (cost=0.00..35.50 rows=13 width=0)") == 13)
        #expect(BackfillPlan.estimatedRows(inPlan: "Result") == nil)
    }
}
