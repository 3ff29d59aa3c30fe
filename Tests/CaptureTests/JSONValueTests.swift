import SeededRandom
import Testing

@testable import Capture

@Suite struct JSONValueTests {
    private static func value(_ text: String) -> JSONValue? { JSONValue(Array(text.utf8)) }

    private static func text(_ value: JSONValue?) -> String? { value.map { String(decoding: $0.text, as: UTF8.self) } }

    @Test(arguments: [
        ("{}", JSONValue.Kind.object), (" [1] ", .array), ("\n\"x\"\t", .string), ("-1.50e3", .number), ("true", .boolean), ("false", .boolean),
        ("null", .null),
    ])
    func readsOneValue(text: String, kind: JSONValue.Kind) throws {
        let value = try #require(Self.value(text))
        #expect(value.kind == kind)
        #expect(!value.text.contains { $0 == 0x20 || $0 == 0x09 || $0 == 0x0A })
    }

    @Test(arguments: [
        "", " ", "1 2", "{", "[1,]", "{\"a\"}", "nul", "tru", "'x'", "01", "+1", "\"\u{1}\"", "[}", "{]", "\"", "[1", "NaN", "\"\\ud800\"",
    ])
    func refusesEverythingElse(text: String) {
        #expect(Self.value(text) == nil)
    }

    @Test func refusesWhatIsNotUTF8() {
        #expect(JSONValue([0x22, 0xFF, 0x22]) == nil)
        #expect(JSONValue([0x22, 0xC3, 0x22]) == nil)
    }

    @Test func givesPartsAsTheyStand() throws {
        let value = try #require(Self.value(#" {"a" : 1.50 ,"\u0062":[ 1,{ "c":[]} , "x\"y" ],"a":null} "#))
        let object = try #require(value.object)
        #expect(object.members.map { String(decoding: $0.name, as: UTF8.self) } == ["a", "b", "a"])
        #expect(Self.text(object["b"]) == #"[ 1,{ "c":[]} , "x\"y" ]"#)
        // Of several the last.
        #expect(object["a"]?.kind == .null)
        #expect(object["c"] == nil)
        let elements = try #require(object["b"]?.elements)
        #expect(elements.map { Self.text($0) } == ["1", #"{ "c":[]}"#, #""x\"y""#])
        #expect(elements[2].string == "x\"y")
        #expect(elements[1].object?["c"]?.elements?.isEmpty == true)
    }

    @Test func knowsWhatAValueIsNot() throws {
        let number = try #require(Self.value("1"))
        #expect(number.string == nil)
        #expect(number.elements == nil)
        #expect(number.object == nil)
        #expect(Self.value("{}")?.elements == nil)
        #expect(Self.value("[]")?.object == nil)
        #expect(Self.value("[]")?.elements?.isEmpty == true)
    }

    /// A value that was taken apart and joined again is the value.
    @Test func losesNothing() throws {
        for seed in UInt64(1)...300 {
            var random = SplitMix64(seed: seed)
            let text = Self.random(depth: 4, using: &random)
            let value = try #require(Self.value(text), "seed \(seed)")
            #expect(Self.joined(value) == text, "seed \(seed)")
        }
    }

    /// Every beginning of a text is refused, and no change of a byte traps.
    @Test func refusesDamagedTexts() throws {
        for seed in UInt64(1)...60 {
            var random = SplitMix64(seed: seed)
            let text = Array("[\(Self.random(depth: 3, using: &random))]".utf8)
            for count in 0..<text.count { #expect(JSONValue(Array(text[..<count])) == nil, "seed \(seed)") }
            for _ in 0..<100 {
                var damaged = text
                damaged[Int.random(in: 0..<text.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                if let value = JSONValue(damaged) { _ = Self.joined(value) }
            }
        }
    }

    private static func joined(_ value: JSONValue) -> String {
        if let elements = value.elements { return "[" + elements.map(joined).joined(separator: ",") + "]" }
        guard let object = value.object else { return String(decoding: value.text, as: UTF8.self) }
        let members = object.members.map {
            String(decoding: JSONText.string(String(decoding: $0.name, as: UTF8.self)), as: UTF8.self) + ":" + joined($0.value)
        }
        return "{" + members.joined(separator: ",") + "}"
    }

    private static func random(depth: Int, using random: inout SplitMix64) -> String {
        let count = Int.random(in: 0...3, using: &random)
        switch Int.random(in: 0...(depth > 0 ? 6 : 4), using: &random) {
        case 0: return "\(Int.random(in: -1_000_000...1_000_000, using: &random)).50"
        case 1: return "null"
        case 2: return Bool.random(using: &random) ? "true" : "false"
        case 3: return #""é\"\\ \u0000 😀""#
        case 4: return "\"\""
        case 5: return "[" + (0..<count).map { _ in Self.random(depth: depth - 1, using: &random) }.joined(separator: ",") + "]"
        default:
            return "{" + (0..<count).map { "\"k\($0)\":" + Self.random(depth: depth - 1, using: &random) }.joined(separator: ",") + "}"
        }
    }
}
