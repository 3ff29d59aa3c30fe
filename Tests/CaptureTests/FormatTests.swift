import Foundation
import Testing

@testable import Capture

/// The formats beside Slotstream's own.
@Suite struct FormatTests {
    private static let id = "2f1c0d6e-8f0b-4d0e-9a5e-0f6c1f0a7b11"

    private static func captured() throws -> CapturedChanges {
        try CapturedChanges(
            setup: """
                CREATE TABLE tb_order (id uuid PRIMARY KEY, status text); ALTER TABLE tb_order REPLICA IDENTITY FULL;
                """,
            changes: """
                INSERT INTO tb_order VALUES ('\(id)', 'pending'); UPDATE tb_order SET status = 'paid'; DELETE FROM tb_order;
                TRUNCATE tb_order;
                SELECT pg_logical_emit_message(true, 'fraiseql_events',
                    '{"entity_type":"Order","operation":"SHIPPED","entity_id":"\(id)","entity":{"a":1},"changes":{"a":{"old":1,"new":2}},"timestamp":"2026-11-23T07:09:12Z"}');
                """)
    }

    /// RFC 9562's version 5 in the namespace of OIDs, by the letter.
    private static func uuid(of name: String) -> String {
        let namespace: [UInt8] = [
            0x6B, 0xA7, 0xB8, 0x12, 0x9D, 0xAD, 0x11, 0xD1, 0x80, 0xB4, 0x00, 0xC0, 0x4F, 0xD4, 0x30, 0xC8,
        ]
        var digest = [UInt8](repeating: 0, count: 20)
        (namespace + Array(name.utf8)).withUnsafeBytes { input in
            digest.withUnsafeMutableBytes { #expect(CaptureFunctions.cryptographic.sha1(input, $0)) }
        }
        digest[6] = digest[6] & 15 | 0x50
        digest[8] = digest[8] & 63 | 0x80
        let hex = digest.prefix(16).map { String(format: "%02x", $0) }.joined()
        return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(Array(hex)[$0]) }.joined(separator: "-")
    }

    @Test func theUUIDOfANameIsTheOneThatEverybodyComputes() {
        // Python: uuid.uuid5(uuid.NAMESPACE_OID, "7439120938471029384.5.1.735.00000000016B3748.1")
        #expect(
            Self.uuid(of: "7439120938471029384.5.1.735.00000000016B3748.1") == "7dae0061-7849-52ad-afd0-d8b48b095156")
    }

    @Test func fraiseQLsEventsHaveItsMembersInItsOrder() throws {
        let events = try Self.captured().events(CaptureConfiguration(format: .fraiseql))
        try #require(events.count == 5)
        let rest =
            #""duration_ms":null,"seq":null,"actor_type":null,"acting_for":null,"schema_version":null,"cdc_source":"slotstream"}"#
        let texts = [
            (#""event_type":"INSERT""#, #""data":{"id":"\#(Self.id)","status":"pending"},"changes":null"#),
            (
                #""event_type":"UPDATE""#,
                #""data":{"id":"\#(Self.id)","status":"paid"},"changes":{"status":{"old":"pending","new":"paid"}}"#
            ),
            (#""event_type":"DELETE""#, #""data":{"id":"\#(Self.id)","status":"paid"},"changes":null"#),
        ]
        for (event, (type, data)) in zip(events, texts) {
            #expect(
                event.text
                    == #"{"id":"\#(Self.uuid(of: event.messageID))",\#(type),"entity_type":"Order","entity_id":"\#(Self.id)",\#(data),"user_id":null,"tenant_id":null,"timestamp":"\#(event.header.commitTimestamp)",\#(rest)"#
            )
        }
        let zero = "00000000-0000-0000-0000-000000000000"
        #expect(
            events[3].text.contains(
                #""event_type":"CUSTOM","entity_type":"Order","entity_id":"\#(zero)","data":null,"changes":null"#))
        #expect(
            events[4].text
                == #"{"id":"\#(Self.uuid(of: events[4].messageID))","event_type":"CUSTOM","entity_type":"Order","entity_id":"\#(Self.id)","data":{"a":1},"changes":{"a":{"old":1,"new":2}},"user_id":null,"tenant_id":null,"timestamp":"2026-11-23T07:09:12Z",\#(rest)"#
        )
        #expect(events[4].subject == "fraiseql.mutation.Order.SHIPPED")
    }

    @Test func fraiseQLsEventsWithoutAUUIDArePoison() throws {
        let captured = try CapturedChanges(
            setup: "CREATE TABLE tb_x (id int PRIMARY KEY);", changes: "INSERT INTO tb_x VALUES (1);")
        let stopped = try captured.outcome(CaptureConfiguration(format: .fraiseql, poisonPolicy: .stop))
        guard case .poison(.entityIDNotUUID, _, relation: "public.tb_x") = stopped.error else {
            Issue.record("it ended with \(String(describing: stopped.error))")
            return
        }
        for policy in [CaptureConfiguration.PoisonPolicy.quarantine, .reference] {
            let outcome = try captured.outcome(CaptureConfiguration(format: .fraiseql, poisonPolicy: policy))
            #expect(outcome.error == nil && outcome.events.map(\.subject) == ["fraiseql.mutation._slotstream.POISON"])
        }
    }

    @Test func cloudEventsAreEnvelopesAroundOurOwn() throws {
        let captured = try Self.captured()
        let own = try captured.events()
        let events = try captured.events(CaptureConfiguration(format: .cloudevents))
        try #require(events.count == own.count)
        for (event, own) in zip(events, own) {
            #expect(try event.value("data") == own.text)
            #expect(try event.value("specversion") == #""1.0""# && event.value("id") == "\"\(own.messageID)\"")
            #expect(try event.value("source") == "\"/slotstream/\(Rig.identity.systemID)/shop\"")
            #expect(try event.value("time") == "\"\(own.header.commitTimestamp)\"")
            #expect(try event.value("datacontenttype") == #""application/json""#)
            #expect(event.subject == own.subject && event.messageID == own.messageID)
        }
        #expect(
            try events.map { try $0.value("type") }
                == ["INSERT", "UPDATE", "DELETE", "TRUNCATE", "SHIPPED"].map { "\"Order.\($0)\"" })
        #expect(try events[0].value("subject") == "\"\(Self.id)\"" && events[3].value("subject") == nil)
        #expect(try events[1].value("data", "transaction", "last") == "true")
    }

    /// CloudEvents 1.0, "Type System": what no attribute may have goes out as `%XX` there, and as it is in `data`.
    @Test func cloudEventsAttributesHaveNoControlCharacters() throws {
        let captured = try CapturedChanges(
            setup: """
                CREATE TABLE "tb_a\tb\u{7F}\u{85}%09" (id text PRIMARY KEY);
                """,
            changes: """
                INSERT INTO "tb_a\tb\u{7F}\u{85}%09" VALUES (E'a\\tb\\r\\n"\\\\%41\u{9F}é\\uFDD0\\U0010FFFF'), (E'\\t');
                SELECT pg_logical_emit_message(true, 'fraiseql_events',
                    '{"entity_type":"\\u0041\\u0001","operation":"B\\u007f","entity_id":"\\ufffe\\ud83f\\udfff\\ud83d\\ude00\\/\\u0009"}');
                """)
        let own = try captured.events()
        let events = try captured.events(CaptureConfiguration(format: .cloudevents))
        try #require(events.count == 3 && own.count == 3)
        #expect(try events[0].value("type") == #""A%09b%7F%C2%85%09.INSERT""#)
        #expect(
            try events[0].value("subject") == #""a%09b%0D%0A\"\\%41%C2%9Fé%EF%B7%90%F4%8F%BF%BF""#)
        #expect(try events[1].value("subject") == #""%09""#)
        #expect(try events[2].value("type") == #""A%01.B%7F""#)
        #expect(
            try events[2].value("subject") == #""%EF%BF%BE%F0%9F%BF%BF\ud83d\ude00\/%09""#)
        for (event, own) in zip(events, own) { #expect(try event.value("data") == own.text) }
    }
}
