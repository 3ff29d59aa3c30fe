import Foundation
import Testing
import WAL
import WireMessages

@testable import Capture

@Suite struct PoisonTests {
    private static let columns: [WireMessage.Column] = [
        .init(name: "id", isKey: true), .init(name: "v"), .init(name: "flag", typeOID: 16),
    ]
    private static let position = Position(commitLSN: LSN(0x100), ordinal: 2)

    /// A transaction of three rows whose second is poison.
    private static func outcome(
        _ policy: CaptureConfiguration.PoisonPolicy, _ poison: [UInt8], payloadLimit: Int = 1_048_576,
        subject: String = "{prefix}.{entity}.{operation}"
    ) throws -> Outcome {
        let good: [WireMessage.Cell] = [.text("1"), .text("x"), .text("t")]
        return try Outcome(
            of: [
                WireMessage.begin(0x100), WireMessage.relation(columns: columns), WireMessage.insert(good), poison,
                WireMessage.insert(good), WireMessage.commit(0x100),
            ], CaptureConfiguration(subjectTemplate: subject, poisonPolicy: policy), payloadLimit: payloadLimit)
    }

    private static func check(
        _ poison: [UInt8], _ reason: PoisonReason, payloadLimit: Int = 1_048_576, entityID: String? = #""2""#
    ) throws {
        let stopped = try outcome(.stop, poison, payloadLimit: payloadLimit)
        #expect(stopped.error == .poison(reason, at: position, relation: "public.tb_order"))
        // What came before has been handed on, and it is not the last: nothing of the poison is.
        #expect(stopped.events.map(\.header.position.ordinal) == [1])
        #expect(try stopped.events.first?.value("transaction", "last") == "false")

        let referred = try outcome(.reference, poison, payloadLimit: payloadLimit)
        #expect(referred.error == nil)
        try #require(referred.events.map(\.header.position.ordinal) == [1, 2, 3])
        let event = referred.events[1]
        let parsed = try #require(try JSONSerialization.jsonObject(with: Data(event.payload)) as? [String: Any])
        #expect(parsed["omitted"] as? String == reason.description)
        #expect(
            parsed["entity"] == nil && parsed["before"] == nil && parsed["changes"] == nil && parsed["unchanged"] == nil
        )
        #expect(try event.value("entity_id") == entityID)
        #expect(
            Set(parsed.keys).subtracting(["entity_id"]) == [
                "id", "entity_type", "operation", "timestamp", "omitted", "transaction", "source",
            ])
    }

    @Test func invalidUTF8() throws {
        try Self.check(WireMessage.insert([.text("2"), .bytes([0x61, 0xC3]), .text("t")]), .notUTF8(column: "v"))
        try Self.check(
            WireMessage.update(
                old: [.text("2"), .bytes([0xFF]), .text("t")], new: [.text("2"), .text("x"), .text("t")]),
            .notUTF8(column: "v"))
        // Where the identity itself cannot be written, the reference says only which table.
        try Self.check(
            WireMessage.insert([.bytes([0xED, 0xA0, 0x80]), .text("x"), .text("t")]), .notUTF8(column: "id"),
            entityID: nil)
    }

    @Test func valuesThatAreNotOfTheirType() throws {
        for text in ["", "true", "x", "tt"] {
            try Self.check(
                WireMessage.insert([.text("2"), .text("x"), .text(text)]), .malformedValue(column: "flag", type: "bool")
            )
        }
    }

    @Test func payloadOverTheLimit() throws {
        let value = String(repeating: "x", count: 500)
        let poison = WireMessage.insert([.text("2"), .text(value), .text("t")])
        let whole = try Self.outcome(.stop, poison)
        let byteCount = try #require(whole.events.dropFirst().first).payload.count
        #expect(try Self.outcome(.stop, poison, payloadLimit: byteCount).error == nil)
        try Self.check(
            poison, .payloadTooLarge(sentByteCount: poison.count, limit: byteCount - 1), payloadLimit: byteCount - 1)
    }

    @Test func aReferenceWhoseIdentityIsTooLargeGoesWithoutIt() throws {
        let poison = WireMessage.insert([.text(String(repeating: "2", count: 5000)), .text("x"), .text("t")])
        let outcome = try Self.outcome(.reference, poison, payloadLimit: 800)
        #expect(outcome.error == nil && outcome.events.map(\.header.position.ordinal) == [1, 2, 3])
        let reference = try #require(outcome.events.dropFirst().first)
        #expect(try reference.value("entity_id") == nil && reference.value("entity") == nil)
        #expect(try reference.value("omitted")?.contains("its entity_id does not fit either") == true)
        #expect(reference.subject == "fraiseql.mutation.Order.INSERT")
    }

    @Test func subjectOverTheLimitStopsOrIsQuarantined() throws {
        let poison = WireMessage.insert([.text("2"), .text(String(repeating: "é", count: 400)), .text("t")])
        let reason = PoisonReason.subjectTooLong(byteCount: 18 + 400 * 6, limit: 2048)
        let stopped = try Self.outcome(.stop, poison, subject: "{prefix}.{column:v}")
        #expect(stopped.error == .poison(reason, at: Self.position, relation: "public.tb_order"))
        for policy in [CaptureConfiguration.PoisonPolicy.quarantine, .reference] {
            let outcome = try Self.outcome(policy, poison, subject: "{prefix}.{column:v}")
            #expect(outcome.error == nil)
            try #require(outcome.events.map(\.header.position.ordinal) == [1, 2, 3])
            #expect(outcome.events[1].subject == "fraiseql.mutation._slotstream.POISON")
        }
    }

    @Test func aRowInQuarantineSaysWhichAndWhyAndNothingOfItsData() throws {
        let poison = WireMessage.insert([.text("2"), .bytes(Array("secret".utf8) + [0xFF]), .text("t")])
        let outcome = try Self.outcome(.quarantine, poison)
        #expect(outcome.error == nil)
        try #require(outcome.events.map(\.header.position.ordinal) == [1, 2, 3])
        let event = outcome.events[1]
        #expect(event.subject == "fraiseql.mutation._slotstream.POISON" && event.messageID.hasSuffix(".0000000000000100.2"))
        #expect(try event.value("entity_type") == #""_slotstream""# && event.value("operation") == #""POISON""#)
        #expect(try event.value("poison", "reason") == #""not_utf8""# && event.value("poison", "entity_id") == #""2""#)
        #expect(try event.value("poison", "entity_type") == #""Order""# && event.value("poison", "operation") == #""INSERT""#)
        #expect(try event.value("source", "table") == #""tb_order""# && event.value("transaction", "ordinal") == "2")
        #expect(!event.text.contains("secret"))
        #expect((try JSONSerialization.jsonObject(with: Data(event.payload))) is [String: Any])
    }

    @Test func aColumnsValueCannotForgeAReservedSubject() throws {
        let poison = WireMessage.insert([.text("2"), .text("_slotstream"), .text("t")])
        let template = "{prefix}.{column:v}.{operation}"
        #expect(
            try Self.outcome(.stop, poison, subject: template).error
                == .poison(.subjectReserved, at: Self.position, relation: "public.tb_order"))
        let outcome = try Self.outcome(.quarantine, poison, subject: template)
        try #require(outcome.events.count == 3)
        #expect(try outcome.events[1].value("poison", "reason") == #""subject_reserved""#)
        #expect(throws: CaptureError.self) { try SubjectTemplate("{prefix}._slotstream.{entity}") }
    }

    /// What is too large is neither written nor, where that takes long, looked at: the encoder's own memory stays at the limit.
    @Test func encodingStopsAtTheLimit() {
        var buffer = OutputBuffer(byteCountLimit: 1000)
        let isText = [UInt8](repeating: 0x22, count: 600).withUnsafeBytes { buffer.appendJSONString($0) }
        let written = (isText, buffer.isOverflowing, buffer.count <= 1000)
        #expect(written == (true, true, true))
        buffer.removeAll()
        let isSkipped = [UInt8](repeating: 0xFF, count: 5000).withUnsafeBytes { buffer.appendJSONString($0) }
        let skipped = (isSkipped, buffer.isOverflowing, buffer.count)
        #expect(skipped == (true, true, 0))
        buffer.removeAll()
        var context = ValueContext()
        let array = Array("{1".utf8) + Array(String(repeating: ",1", count: 100_000).utf8) + Array("}".utf8)
        let fault = array.withUnsafeBytes {
            buffer.appendValue($0, as: .array(of: .scalar(.number), delimiter: UInt8(ascii: ",")), &context)
        }
        guard case .tooLarge = fault else {
            Issue.record("\(String(describing: fault))")
            return
        }
        let byteCount = buffer.count
        #expect(byteCount <= 1000)
    }

    @Test func logicalMessagesOverTheLimit() throws {
        let data = String(repeating: "x", count: 600)
        let body =
            #"{"entity_type":"Order","operation":"PAID","entity_id":"2","entity":{"v":"\#(data)"},"omitted":1,"note":"kept"}"#
        let messages = [WireMessage.begin(0x100), WireMessage.message(Array(body.utf8)), WireMessage.commit(0x100)]
        let stopped = try Outcome(of: messages, CaptureConfiguration(poisonPolicy: .stop), payloadLimit: 600)
        guard case .poison(.payloadTooLarge(let byteCount, 600), _, "logical message fraiseql_events")? = stopped.error
        else {
            Issue.record("\(String(describing: stopped.error))")
            return
        }
        let referred = try Outcome(of: messages, CaptureConfiguration(poisonPolicy: .reference), payloadLimit: 600)
        let event = try #require(referred.events.first)
        #expect(
            try event.value("entity") == nil && event.value("note") == #""kept""# && event.value("entity_id") == #""2""#
        )
        #expect(try event.value("omitted") == "\"\(PoisonReason.payloadTooLarge(sentByteCount: byteCount, limit: 600))\"")
        #expect((try JSONSerialization.jsonObject(with: Data(event.payload))) is [String: Any])
    }

    @Test func whatADatabaseWithoutEncodingHolds() throws {
        let captured = try CapturedChanges(
            setup: "CREATE TABLE tb_x (id int PRIMARY KEY, v text);",
            changes: "INSERT INTO tb_x VALUES (1, 'plain'), (2, E'\\xE9t\\xE9');", encoding: "SQL_ASCII")
        let outcome = try captured.outcome(CaptureConfiguration(poisonPolicy: .stop))
        #expect(outcome.events.count == 1)
        guard case .poison(.notUTF8(column: "v"), let position, "public.tb_x")? = outcome.error else {
            Issue.record("\(String(describing: outcome.error))")
            return
        }
        #expect(position.ordinal == 2)
        #expect(try captured.outcome(CaptureConfiguration(poisonPolicy: .reference)).events.count == 2)
    }

    @Test func errorsCarryNoRowData() {
        let reasons: [PoisonReason] = [
            .notUTF8(column: "v"), .payloadTooLarge(sentByteCount: 2, limit: 1), .subjectTooLong(byteCount: 2, limit: 1),
            .malformedValue(column: "v", type: "bool"), .messageBody("the text ends too soon"),
        ]
        for reason in reasons {
            let text = CaptureError.poison(reason, at: Self.position, relation: "public.tb_order").description
            #expect(text == "public.tb_order at 0/100 change 2: \(reason)")
        }
    }
}
