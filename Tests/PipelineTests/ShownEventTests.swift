import Testing

@testable import Pipeline

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite struct ShownEventTests {
    private func event(_ body: String, subject: String = "p.Order.INSERT") -> EventReader.Event {
        EventReader.Event(sequence: 7, subject: subject, payload: Array(body.utf8), id: nil, storedAt: nil)
    }

    private struct Row: Decodable, Equatable {
        struct Document: Decodable, Equatable { var text: String }
        var entity: Document
    }

    @Test func whatIsPlainStaysByteForByte() {
        let body = #"{"id":"1","entity":{"name":"Ünïcode 漢 😀","path":"a\\b \"c\" \u001b"},"numbers":[1e400,12.50]}"#
        #expect(ShownEvent.json(event(body)) == body)
    }

    @Test func aJSONColumnWithLineBreaksIsOneLineAndTheSameValue() throws {
        let body = "{\"entity\":{\n\t\"text\":\r\n \"a\\nb\"\n}}"
        let line = ShownEvent.json(event(body))
        #expect(line == #"{"entity":{  "text":   "a\nb" }}"#)
        let decoder = JSONDecoder()
        #expect(try decoder.decode(Row.self, from: Data(line.utf8)) == decoder.decode(Row.self, from: Data(body.utf8)))
    }

    @Test(arguments: ["\u{7F}", "\u{85}", "\u{9B}31m", "\u{2028}", "\u{2029}", "\u{202E}", "\u{FEFF}"])
    func whatSteersATerminalOrEndsALineIsEscapedInsideStrings(_ text: String) throws {
        let line = ShownEvent.json(event("{\"entity\":{\"text\":\"x\(text)\"}}"))
        #expect(line.unicodeScalars.allSatisfy { $0.isASCII && $0.value >= 0x20 && $0.value != 0x7F })
        #expect(try JSONDecoder().decode(Row.self, from: Data(line.utf8)).entity.text == "x" + text)
    }

    @Test(arguments: [
        "not JSON\n{\"id\":\"forged\"}", "[1,2]", "", "{\"open\":", "\u{1B}[2J", "{\"a\":1}\n{\"b\":2}", "\"text\"",
    ])
    func whatIsNoEventIsAnObjectOnOneLine(_ body: String) throws {
        struct Stranger: Decodable { var sequence: Int; var subject: String; var body: String }
        let line = ShownEvent.json(event(body, subject: "p.x"))
        #expect(!line.unicodeScalars.contains { $0.value < 0x20 })
        let stranger = try JSONDecoder().decode(Stranger.self, from: Data(line.utf8))
        #expect(stranger.sequence == 7 && stranger.subject == "p.x" && stranger.body == body)
    }

    @Test func everyByteThereIsMakesOneLine() {
        for first in UInt8.min...UInt8.max {
            for payload in [[first], Array("{\"a\":\"".utf8) + [first] + Array("\"}".utf8), Array("\"\\".utf8) + [first]] {
                let event = EventReader.Event(sequence: 1, subject: "s", payload: payload, id: nil, storedAt: nil)
                let line = ShownEvent.json(event)
                #expect(line.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value) }, "\(payload)")
            }
        }
    }
}
