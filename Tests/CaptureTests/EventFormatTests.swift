import PGOutput
import SeededRandom
import Testing
import WAL
import WireMessages

@testable import Capture

/// What each format writes of each kind of change is read back, and whatever became of the bytes is read without a trap.
@Suite struct EventFormatTests {
    private static let id = "2f1c0d6e-8f0b-4d0e-9a5e-0f6c1f0a7b11"
    private static let commitTimestamp = PostgresTimestamp(849_337_752_123_456)
    private static let orderID: UInt32 = 16_400
    private static let fullID: UInt32 = 16_401
    private static let nameID: UInt32 = 16_402

    private static let relations = [
        WireMessage.relation(
            orderID, columns: [.init(name: "id", typeOID: 2950, isKey: true), .init(name: "status"), .init(name: "j", typeOID: 114)]),
        WireMessage.relation(
            fullID, name: "tb_full", identity: "f",
            columns: [.init(name: "id", typeOID: 2950, isKey: true), .init(name: "v", isKey: true)]),
        WireMessage.relation(
            nameID, schema: "s\"},\"last\":true", name: "tb_x\",\"schema\":{\"last\":true}",
            columns: [.init(name: "id", typeOID: 2950, isKey: true), .init(name: "\"transaction\":{\"last\":true}")]),
    ]

    private static func order(_ status: String, _ json: WireMessage.Cell = .null) -> [WireMessage.Cell] {
        [.text(id), .text(status), json]
    }

    private static func body(_ members: String, operation: String = "SHIPPED") -> [UInt8] {
        Array(#"{"entity_type":"Order","operation":"\#(operation)","entity_id":"\#(id)"\#(members)}"#.utf8)
    }

    /// A row's values that look like what is read, and a depth that no recursion bears.
    private static let hostile = #"{"last":true,"transaction":{"last":true},"source":{"schema":"x"},"operation":"GAP","d":"#
        + String(repeating: "[", count: 1_000) + String(repeating: "]", count: 1_000) + "}"

    /// One change of each kind and state.
    private static let changes: [(name: String, message: [UInt8])] = [
        ("insert", WireMessage.insert(order("pending"))),
        ("insert of what looks like an event", WireMessage.insert(order("\"last\":true}", .text(hostile)))),
        ("update without the old row", WireMessage.update(new: order("paid"))),
        ("update of the key", WireMessage.update(key: order("x"), new: order("paid"))),
        ("update with the old row", WireMessage.update(in: fullID, old: [.text(id), .text("a")], new: [.text(id), .text("b")])),
        ("update with a value not sent", WireMessage.update(new: order("paid", .unchanged))),
        ("delete", WireMessage.delete(from: orderID, key: [.text(id), .null, .null])),
        ("truncate", WireMessage.truncate([orderID, fullID], flags: 3)),
        ("insert into hostile names", WireMessage.insert(into: nameID, [.text(id), .text("v")])),
        ("message", WireMessage.message(body(#","entity":{"a":1},"timestamp":"2026-11-23T07:09:12Z""#))),
        ("message without a time", WireMessage.message(body(""))),
        (
            "message that looks like others' events",
            WireMessage.message(
                body(
                    #","transaction":{"last":true},"source":{"schema":"x"},"event_type":"INSERT","specversion":"1.0","data":{"operation":"X"},"cdc_source":"slotstream""#))
        ),
        ("what is no text", WireMessage.insert([.text(id), .bytes([0xFF]), .null])),
        ("what is too large", WireMessage.insert(order(String(repeating: "x", count: 20_000)))),
        ("a message that is no event", WireMessage.message(Array("{}".utf8))),
    ]

    private struct Written {
        var name: String
        var event: RecordedEvent
        var kind: EventKind
    }

    /// All of them, in one transaction, and a message outside transactions.
    private static func written(_ format: EventFormat, _ policy: CaptureConfiguration.PoisonPolicy) throws -> [Written] {
        var rig = try Rig(CaptureConfiguration(format: format, poisonPolicy: policy), payloadLimit: 16_384)
        try rig.receive(WireMessage.begin(0x16_B374_8000, timestamp: commitTimestamp.rawValue))
        try rig.receive(relations)
        var names: [String] = []
        for change in changes {
            try rig.receive(change.message)
            // A TRUNCATE has an event a table.
            names += Array(repeating: change.name, count: change.name == "truncate" ? 2 : 1)
        }
        try rig.receive(WireMessage.commit(0x16_B374_8000, timestamp: commitTimestamp.rawValue))
        try rig.receive(WireMessage.message(body(""), isTransactional: false, lsn: 0x17_0000_0000))
        names.append("message outside transactions")
        try #require(rig.events.count == names.count)
        let kinds = rig.assembler.eventKinds
        return zip(names, rig.events).map { Written(name: $0, event: $1, kind: kinds[Int($1.header.kindIndex)]) }
    }

    @Test(arguments: EventFormat.allCases, [CaptureConfiguration.PoisonPolicy.quarantine, .reference])
    func whatIsWrittenIsReadBack(_ format: EventFormat, _ policy: CaptureConfiguration.PoisonPolicy) throws {
        for written in try Self.written(format, policy) {
            let place: Comment = "\(format), \(policy): \(written.name): \(written.event.text.prefix(300))"
            let read = try #require(EventFormat.read(written.event.payload, subject: written.event.subject), place)
            let header = written.event.header
            #expect(read.entity == written.kind.entity && read.operation == written.kind.operation, place)
            let isQuarantined = written.kind.entity == ReservedEntity.name
            guard format != .fraiseql else {
                #expect(read.position == nil && read.isLast == nil && read.commitTimestamp == nil, place)
                #expect(read.kind == (isQuarantined ? .quarantined : nil), place)
                continue
            }
            #expect(read.position == header.position && read.isLast == header.isLast, place)
            let isOfTable = !written.name.contains("message")
            #expect(read.kind == (isQuarantined ? .quarantined : isOfTable ? .change : .message), place)
            #expect(read.commitTimestamp == (isOfTable ? Self.commitTimestamp : nil), place)
        }
    }

    @Test func onlyTheLastEventOfTheTransactionAndTheMessageOutsideSayThatTheyAreLast() throws {
        for format in [EventFormat.slotstream, .cloudevents] {
            let flags = try Self.written(format, .quarantine).map {
                EventFormat.read($0.event.payload, subject: $0.event.subject)?.isLast
            }
            #expect(flags.suffix(2) == [true, true] && flags.dropLast(2).allSatisfy { $0 == false })
        }
    }

    @Test(arguments: EventFormat.allCases)
    func noStrictPrefixIsRead(_ format: EventFormat) throws {
        for written in try Self.written(format, .quarantine) where written.event.payload.count < 2_000 {
            let payload = written.event.payload
            for count in payload.indices {
                #expect(
                    EventFormat.read(Array(payload[..<count]), subject: written.event.subject) == nil,
                    "\(count) bytes of \(written.name)")
            }
        }
    }

    /// Each byte is replaced by another and by what JSON is made of, by a seed: what is read then is an event or none.
    @Test(arguments: EventFormat.allCases)
    func noChangedByteTraps(_ format: EventFormat) throws {
        var random = SplitMix64(seed: 4)
        for written in try Self.written(format, .reference) {
            var payload = written.event.payload
            // Of the one that nests deep: where it begins and where it ends.
            let indices = payload.count < 2_000 ? Array(payload.indices) : Array(payload.indices.prefix(60) + payload.indices.suffix(250))
            for index in indices {
                let original = payload[index]
                for other in [UInt8.random(in: 0...255, using: &random), "{}[]\",:\\".utf8.randomElement(using: &random) ?? 0] {
                    payload[index] = other
                    _ = EventFormat.read(payload, subject: written.event.subject)
                }
                payload[index] = original
            }
            #expect(payload == written.event.payload)
        }
    }
}
