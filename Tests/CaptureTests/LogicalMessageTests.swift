import Foundation
import Testing
import WAL
import WireMessages

@testable import Capture

@Suite struct LogicalMessageTests {
    private static let minimal = #"{"entity_type":"Order","operation":"INSERT","entity_id":"7"}"#

    private static func events(
        _ body: String, _ configuration: CaptureConfiguration = CaptureConfiguration(),
        prefix: String = "fraiseql_events"
    ) throws -> Outcome {
        try Outcome(
            of: [
                WireMessage.begin(0x16B_3748), WireMessage.message(Array(body.utf8), prefix: prefix),
                WireMessage.commit(0x16B_3748),
            ],
            configuration)
    }

    @Test func publishesTheBodyWithWhatIsSetByUs() throws {
        let outcome = try Self.events(
            #" { "id" : "theirs", "entity_type":"Order" , "operation":"CREATED","entity_id": 7,"entity":{ "a" : 1.50 },"i\u0064x":[],"source":1,"transaction":{} } "#
        )
        #expect(
            outcome.events.first?.text
                == #"{"id":"7439120938471029384.5.1.735.00000000016B3748.1","entity_type":"Order","operation":"CREATED","entity_id":7,"entity":{ "a" : 1.50 },"i\u0064x":[],"timestamp":"2000-01-01T00:00:00.000000+00:00","transaction":{"id":735,"lsn":"0/16B3748","ordinal":1,"last":true},"source":{"database":"shop"}}"#
        )
        #expect(outcome.events.first?.subject == "fraiseql.mutation.Order.CREATED")
    }

    @Test func replacesMembersOfOurOwnHoweverTheyAreSpelled() throws {
        let event = try #require(
            try Self.events(#"{"\u0069d":"x","s\u006furce":"y","entity_type":"O","operation":"P","entity_id":null}"#)
                .events.first)
        let parsed = try #require(try JSONSerialization.jsonObject(with: Data(event.payload)) as? [String: Any])
        #expect(parsed["id"] as? String == event.messageID)
        #expect(
            event.text.components(separatedBy: "\"id\"").count == 3 && !event.text.contains("u0069")
                && !event.text.contains("u006f"))
    }

    @Test(arguments: [
        (#""2026-11-23T07:09:12Z""#, true), (#""2026-11-23T07:09:12.5+02:00""#, true), (#""yesterday""#, false),
        ("1", false),
        (#""2026-02-30T07:09:12Z""#, false), ("null", false),
    ])
    func keepsATimestampThatIsOne(value: String, isKept: Bool) throws {
        let body = #"{"entity_type":"O","timestamp":\#(value),"operation":"P","entity_id":1}"#
        let event = try #require(try Self.events(body).events.first)
        #expect(try event.value("timestamp") == (isKept ? value : #""2000-01-01T00:00:00.000000+00:00""#))
        #expect(event.text.components(separatedBy: "\"timestamp\"").count == 2)
    }

    @Test(arguments: [
        "", "null", "[]", "{}", #"{"operation":"P","entity_id":1}"#, #"{"entity_type":"O","entity_id":1}"#,
        #"{"entity_type":"O","operation":"P"}"#, #"{"entity_type":"","operation":"P","entity_id":1}"#,
        #"{"entity_type":"O","operation":"","entity_id":1}"#, #"{"entity_type":1,"operation":"P","entity_id":1}"#,
        #"{"entity_type":"O","operation":null,"entity_id":1}"#,
        #"{"entity_type":"O","operation":"P","entity_id":true}"#,
        #"{"entity_type":"O","operation":"P","entity_id":[1]}"#, #"{"entity_type":"O","operation":"P","entity_id":{}}"#,
        #"{"entity_type":"O","operation":"P","entity_id":1,"a":1,"\u0061":2}"#,
        #"{"entity_type":"O","operation":"P","entity_id":1} x"#,
        #"{"entity_type":"O","entity_type":"O","operation":"P","entity_id":1}"#, "\u{FEFF}" + minimal,
        #"{"entity_type":"O","operation":"P","entity_id":"\ud800"}"#,
    ])
    func stopsAtABodyThatIsNoEventOrQuarantinesIt(body: String) throws {
        let stopped = try Self.events(body, CaptureConfiguration(poisonPolicy: .stop))
        #expect(stopped.events.isEmpty)
        guard case .poison(.messageBody, let position, _)? = stopped.error else {
            Issue.record("\(body) gave \(String(describing: stopped.error))")
            return
        }
        #expect(position == Position(commitLSN: LSN(0x16B_3748), ordinal: 1))
        for policy in [CaptureConfiguration.PoisonPolicy.quarantine, .reference] {
            let outcome = try Self.events(body, CaptureConfiguration(poisonPolicy: policy))
            #expect(outcome.error == nil)
            let event = try #require(outcome.events.first)
            #expect(event.subject == "fraiseql.mutation._slotstream.POISON" && event.messageID.hasSuffix(".1"))
            #expect(try event.value("transaction", "last") == "true")
            let parsed = try #require(try JSONSerialization.jsonObject(with: Data(event.payload)) as? [String: Any])
            let poison = try #require(parsed["poison"] as? [String: Any])
            let message = try #require(poison["message"] as? [String: Any])
            // Foundation takes a byte order mark at a string's beginning for none of its characters.
            let shown = body.unicodeScalars.first == "\u{FEFF}" ? String(body.unicodeScalars.dropFirst()) : body
            #expect(message["body"] as? String == shown && message["prefix"] as? String == "fraiseql_events")
            #expect(body.unicodeScalars.first != "\u{FEFF}" || event.payload.contains(Array("\u{FEFF}".utf8)))
        }
    }

    /// A body that stands in quarantine is cut at a bound, and as base64 where it is no text.
    @Test func aBodyInQuarantineIsBounded() throws {
        for (unit, member) in [([UInt8(ascii: "\u{1}")], "body"), ([0xFF], "body_base64"), (Array("é".utf8), "body")] {
            let body = (0..<200_000).flatMap { _ in unit }
            let outcome = try Outcome(of: [WireMessage.begin(100), WireMessage.message(body), WireMessage.commit(100)])
            let event = try #require(outcome.events.first)
            #expect(outcome.error == nil && event.payload.count < 70_000)
            #expect(try event.value("poison", "message", "is_cut") == "true" && event.value("poison", "message", member) != nil)
            #expect((try JSONSerialization.jsonObject(with: Data(event.payload))) is [String: Any])
        }
    }

    @Test(arguments: [
        #"{"entity_type":"_slotstream","operation":"GAP","entity_id":1}"#,
        #"{"entity_type":"_SlotStream","operation":"P","entity_id":1}"#,
        #"{"entity_type":"O","operation":"P","entity_id":1,"Source":{"table":"tb_order"}}"#,
        #"{"entity_type":"O","operation":"P","entity_id":1,"tranſaction":{}}"#,
        #"{"entity_type":"O","operation":"P","entity_id":1,"\u0049D":"x"}"#,
    ])
    func refusesWhatCouldBeTakenForSomethingOfOurs(body: String) throws {
        let outcome = try Self.events(body)
        #expect(outcome.error == nil)
        let event = try #require(outcome.events.first)
        #expect(event.subject == "fraiseql.mutation._slotstream.POISON")
        #expect(try event.value("poison", "reason") == #""message_body""#)
    }

    @Test(arguments: [EventFormat.fraiseql, .cloudevents])
    func quarantineIsAnEventOfItsFormat(format: EventFormat) throws {
        let outcome = try Self.events("no json", CaptureConfiguration(format: format))
        let event = try #require(outcome.events.first)
        let parsed = try #require(try JSONSerialization.jsonObject(with: Data(event.payload)) as? [String: Any])
        let data = try #require(parsed["data"] as? [String: Any])
        #expect(data["poison"] is [String: Any] && data["source"] is [String: Any])
    }

    @Test func refusesABodyThatIsNotUTF8() throws {
        let body = Array(#"{"entity_type":"O"#.utf8) + [0xFF] + Array(#"","operation":"P","entity_id":1}"#.utf8)
        let outcome = try Outcome(
            of: [WireMessage.begin(100), WireMessage.message(body), WireMessage.commit(100)],
            CaptureConfiguration(poisonPolicy: .stop))
        #expect(
            outcome.error
                == .poison(
                    .messageBody("the text is not UTF-8"), at: Position(commitLSN: LSN(100), ordinal: 1),
                    relation: "logical message fraiseql_events"))
    }

    @Test func encodesHostileNamesIntoTheSubject() throws {
        let outcome = try Self.events(
            #"{"entity_type":"Or.der >\r\n","operation":"*é\u0000","entity_id":1}"#,
            CaptureConfiguration(subjectTemplate: "{prefix}.{schema}.{table}.{entity}.{operation}.{column:x}"))
        #expect(
            outcome.events.first?.subject
                == "fraiseql.mutation.%unknown.%unknown.Or%2Eder%20%3E%0D%0A.%2A%C3%A9%00.%unknown")
    }

    @Test func ignoresOtherPrefixesButCountsThem() throws {
        #expect(try Self.events("not json", prefix: "debezium").events.isEmpty)
        #expect(
            try Self.events(Self.minimal, CaptureConfiguration(messagePrefixes: ["a", "b"]), prefix: "b").events.count
                == 1)
        #expect(try Self.events(Self.minimal, CaptureConfiguration(messagePrefixes: [])).events.isEmpty)
    }

    @Test func aMessageThatEndsWhereATimelineEndsIsOfThatTimeline() throws {
        var rig = try Rig(timelines: try #require(TimelineHistory(currentTimeline: 2, text: "1\t0/100\tpromoted")))
        try rig.receive([
            WireMessage.message(Array(Self.minimal.utf8), isTransactional: false, lsn: 0x100), WireMessage.begin(0x100),
            WireMessage.message(Array(Self.minimal.utf8)), WireMessage.commit(0x100),
        ])
        #expect(
            rig.events.map(\.messageID) == [
                "7439120938471029384.5.1.0.0000000000000100.0", "7439120938471029384.5.2.735.0000000000000100.1",
            ])
    }

    @Test func publishesNonTransactionalMessagesAtOnce() throws {
        var rig = try Rig()
        let sendTime = PostgresTimestamp(5_000_000)
        try rig.receive(
            WireMessage.message(Array(Self.minimal.utf8), isTransactional: false, lsn: 0x100), sendTime: sendTime)
        let event = try #require(rig.events.first)
        #expect(event.messageID == "7439120938471029384.5.1.0.0000000000000100.0")
        #expect(try event.value("transaction") == #"{"lsn":"0/100","ordinal":0,"last":true}"#)
        #expect(try event.value("timestamp") == #""2000-01-01T00:00:05.000000+00:00""#)
        #expect(event.header.commitTimestamp == sendTime && !rig.assembler.isInTransaction)
        // One whose LSN the next transaction's commit has too is another event, and sorts before it.
        try rig.receive([
            WireMessage.begin(0x100), WireMessage.message(Array(Self.minimal.utf8)), WireMessage.commit(0x100),
        ])
        #expect(rig.events.map(\.header.position.ordinal) == [0, 1])
        #expect(rig.events[1].messageID == "7439120938471029384.5.1.735.0000000000000100.1")
    }

    @Test func bothKindsFromPostgreSQL() throws {
        let captured = try CapturedChanges(
            setup: "CREATE TABLE tb_a (id int PRIMARY KEY);",
            changes: """
                \\o /dev/null
                BEGIN; INSERT INTO tb_a VALUES (1);
                SELECT pg_logical_emit_message(false, 'fraiseql_events', '\(Self.minimal)');
                SELECT pg_logical_emit_message(true, 'fraiseql_events', '\(Self.minimal)'); INSERT INTO tb_a VALUES (2); COMMIT;
                BEGIN; SELECT pg_logical_emit_message(true, 'fraiseql_events', '\(Self.minimal)');
                SELECT pg_logical_emit_message(false, 'fraiseql_events', '\(Self.minimal)'); ROLLBACK;
                INSERT INTO tb_a VALUES (3);
                \\o
                """)
        let events = try captured.events()
        #expect(events.map(\.header.position.ordinal) == [0, 1, 2, 3, 0, 1])
        #expect(
            try events.map { try $0.value("transaction", "last") } == [
                "true", "false", "false", "true", "true", "true",
            ])
        #expect(zip(events, events.dropFirst()).allSatisfy { $0.header.position < $1.header.position })
    }
}
