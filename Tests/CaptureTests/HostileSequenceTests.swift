import Foundation
import PGOutput
import SeededRandom
import Testing
import WAL
import WireMessages

@testable import Capture

/// Whatever messages come, in whatever order and however damaged: nothing traps, and what is handed on is JSON with a subject.
@Suite struct HostileSequenceTests {
    private static let names = [
        "tb_order", "a\"b", "c\r\nNats-Msg-Id: x", "{prefix}", "*", ">", ".", "a.b", " ", "é",
        String(repeating: "漢", count: 21), "_", "tb_",
    ]

    private struct Generator {
        var random: SplitMix64

        mutating func pick<Element>(_ elements: [Element]) -> Element {
            elements[Int.random(in: 0..<elements.count, using: &random)]
        }

        mutating func cells(_ count: Int) -> [WireMessage.Cell] {
            (0..<count).map { _ in
                let cells: [WireMessage.Cell] = [
                    .null, .unchanged, .text(""), .text("t"), .text("12.50"), .text("{1,\"a\\\\b\"}"), .text("a,%\"\n"),
                    .text("2026-11-23 07:09:12+00"), .bytes([0xFF]), .binary([1]), .text("{\"a\":1}"),
                ]
                return pick(cells)
            }
        }

        /// Plausible ones mostly, so that runs get far before they end.
        mutating func message() -> [UInt8] {
            let relationID = pick([UInt32(1), 1, 1, 2, 3])
            let count = pick([2, 2, 2, 2, 2, 3, 0])
            switch Int.random(in: 0..<16, using: &random) {
            case 0, 1:
                return WireMessage.begin(
                    pick([0x100, 0x200, 0x300]), xid: pick([1, 2]), timestamp: pick([0, .min, .max]))
            case 2, 3: return WireMessage.commit(pick([0x100, 0x200, 0x300]))
            case 4:
                let columns = (0..<count).map { _ in
                    WireMessage.Column(
                        name: pick(HostileSequenceTests.names),
                        // None of json: it is copied, and what these cells hold is not always JSON.
                        typeOID: pick([25, 23, 16, 1184, 1009, 1007, 20_000]), isKey: Bool.random(using: &random))
                }
                return WireMessage.relation(
                    relationID, schema: pick(["public", "a.b", ""]), name: pick(HostileSequenceTests.names),
                    identity: pick(["d", "n", "f", "i"]), columns: columns)
            case 5...8: return WireMessage.insert(into: relationID, cells(count))
            case 9: return WireMessage.update(in: relationID, new: cells(count))
            case 10: return WireMessage.update(in: relationID, key: cells(count), new: cells(count))
            case 11: return WireMessage.update(in: relationID, old: cells(count), new: cells(count))
            case 12: return WireMessage.delete(from: relationID, key: cells(count))
            case 13: return WireMessage.truncate(pick([[1], [1, 2], [], [1, 1, 3]]), flags: pick([0, 1, 3]))
            case 14:
                return WireMessage.message(
                    Array(pick([#"{"entity_type":"a.b","operation":"*\n","entity_id":null}"#, "{}", ""]).utf8),
                    isTransactional: Bool.random(using: &random), lsn: pick([0x80, 0x100, 0x400]))
            default: return [UInt8(ascii: pick(["S", "E", "O", "Y", "x"])), 0, 0]
            }
        }
    }

    @Test(arguments: UInt64(0)..<12)
    func neverTrap(seed: UInt64) throws {
        var generator = Generator(random: SplitMix64(seed: seed))
        var eventCount = 0
        for round in 0..<150 {
            var configuration = CaptureConfiguration()
            configuration.poisonPolicy = generator.pick([.stop, .reference, .quarantine])
            configuration.subjectTemplate = generator.pick([
                "{prefix}.{entity}.{operation}", "{prefix}.{schema}.{table}.{column:tb_order}",
            ])
            configuration.exclusions = generator.pick([[], ["*:DELETE"], ["*tb_*"]])
            let watermark = generator.pick([nil, nil, Position(commitLSN: LSN(0x200), ordinal: 1)])
            var rig = try Rig(configuration, payloadLimit: generator.pick([300, 100_000]), watermark: watermark)
            for _ in 0..<60 {
                var message = generator.message()
                if Int.random(in: 0..<20, using: &generator.random) == 0 {
                    message[Int.random(in: 0..<message.count, using: &generator.random)] = UInt8.random(
                        in: 0...255, using: &generator.random)
                }
                // The rig goes on after an error, which no session does: it must not trap even then.
                do {
                    try rig.receive(message)
                } catch is PGOutputError {
                } catch is CaptureError {}
            }
            eventCount += rig.events.count
            for event in rig.events {
                let isPlain = event.subject.utf8.allSatisfy { EntityNaming.isPlain($0) || "%.".utf8.contains($0) }
                #expect(
                    isPlain && !event.subject.contains("..") && !event.subject.hasSuffix("."),
                    "seed \(seed) round \(round)")
                #expect(MessageID(event.messageID)?.position == event.header.position, "seed \(seed) round \(round)")
                let parsed = (try? JSONSerialization.jsonObject(with: Data(event.payload))) as? [String: Any]
                #expect(parsed != nil && (try? event.members()) != nil, "seed \(seed) round \(round): \(event.text)")
            }
        }
        #expect(eventCount > 150)
    }

    @Test func namesInjectNothing() throws {
        let names = Self.names.filter { $0 != "_" }
        let quoted = names.map { "\"\($0.replacingOccurrences(of: "\"", with: "\"\""))\"" }
        let captured = try CapturedChanges(
            setup: quoted.map { "CREATE TABLE \($0) (\(quoted.map { "\($0) text" }.joined(separator: ", ")));" }.joined(
                separator: "\n"),
            changes: quoted.map { name in
                "INSERT INTO \(name) AS t VALUES (\(names.map { _ in "'v'" }.joined(separator: ", "))) RETURNING hexjson(t);"
            }.joined(separator: "\n"))
        let events = try captured.events(
            CaptureConfiguration(subjectTemplate: "{prefix}.{schema}.{table}.{entity}.{operation}"))
        try #require(events.count == names.count)
        #expect(Set(events.map(\.subject)).count == names.count)
        for (event, (row, name)) in zip(events, zip(captured.rows, names)) {
            #expect(try event.value("entity") == row)
            let parsed = try #require(try JSONSerialization.jsonObject(with: Data(event.payload)) as? [String: Any])
            #expect((parsed["source"] as? [String: Any])?["table"] as? String == name)
            #expect(event.subject.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != 0x2A && $0 != 0x3E })
            #expect(event.subject.split(separator: ".", omittingEmptySubsequences: false).count == 6)
        }
    }
}
