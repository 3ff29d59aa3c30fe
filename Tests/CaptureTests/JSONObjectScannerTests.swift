import Foundation
import SeededRandom
import Testing

@testable import Capture

@Suite struct JSONObjectScannerTests {
    private static let samples = [
        #"{}"#, #" { } "#, #"{"a":1}"#, #"{"a":[],"b":{},"c":[1,2.5,-0,1e3,-1.5E-10,0.0]}"#,
        #"{"entity_type":"Order","operation":"INSERT","entity_id":"2f1c","entity":{"x":[true,false,null]}}"#,
        #"{"\u00e9\"\\\/\b\f\n\r\t":"\ud83d\ude00 é 😀"}"#, "{\r\n\t\"a\" : [ 1 , { \"b\" : \"\" } ] }", #"{"":""}"#,
    ]

    private static func scan(_ text: [UInt8]) -> [JSONObjectScanner.Member]? {
        text.withUnsafeBytes { try? JSONObjectScanner.members(of: $0) }
    }

    /// Foundation as the judge of whether bytes are one JSON object; nil where it is not strict itself.
    private static func isObject(_ text: String) -> Bool? {
        // It takes a comma before a closing bracket, other encodings (and NUL for their sake), and refuses what no Double holds.
        let hasLateComma = text.range(of: ",[ \\t\\r\\n]*[\\]}]", options: .regularExpression) != nil
        let hasHugeExponent = text.range(of: "[eE][+-]?[0-9]{3}", options: .regularExpression) != nil
        if hasLateComma || hasHugeExponent || text.utf8.contains(0) { return nil }
        return (try? JSONSerialization.jsonObject(with: Data(text.utf8))) is [String: Any]
    }

    @Test func findsMembersWithTheirTexts() throws {
        let text = Array(#" {"a" : 1.50 ,"\u0062":{"c": [1, 2]},"":"x\"y"} "#.utf8)
        let members = try #require(Self.scan(text))
        #expect(members.map { String(decoding: $0.key, as: UTF8.self) } == ["a", "b", ""])
        #expect(members.map { String(decoding: text[$0.keyRange], as: UTF8.self) } == [#""a""#, #""\u0062""#, #""""#])
        #expect(
            members.map { String(decoding: text[$0.valueRange], as: UTF8.self) } == [
                "1.50", #"{"c": [1, 2]}"#, #""x\"y""#,
            ])
    }

    @Test func decodesStrings() {
        let text = Array(#""\u00e9\"\\\/\b\f\n\r\t\ud83d\ude00\u0000é""#.utf8)
        let decoded = text.withUnsafeBytes { JSONObjectScanner.string($0, 0..<text.count) }
        #expect(decoded == Array("é\"\\/\u{8}\u{C}\n\r\t😀\0é".utf8))
        #expect(Array("12".utf8).withUnsafeBytes { JSONObjectScanner.string($0, 0..<2) } == nil)
    }

    @Test(arguments: [
        "", " ", "[]", "1", "null", "\"a\"", "{", "}", "{}x", "{}{}", "{a:1}", "{'a':1}", "{\"a\"}", "{\"a\":}",
        "{\"a\":1,}",
        "{,}", "{\"a\":1 \"b\":2}", "{\"a\":01}", "{\"a\":+1}", "{\"a\":.5}", "{\"a\":1.}", "{\"a\":1e}", "{\"a\":-}",
        "{\"a\":NaN}", "{\"a\":tru}", "{\"a\":nulll}", "{\"a\":[1,]}", "{\"a\":[1}", "{\"a\":\"\u{1}\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\\udc00\"}",
        "{\"a\":\"\\ud800\\u0041\"}",
        "{\"a\":\"x}", "\u{FEFF}{}", "{\"a\":1}\0", "{\"a\":/**/1}", "{\"a\":1e400e}", "{\"a\":--1}", "{\"a\":1-1}",
    ])
    func refusesWhatIsNoObject(text: String) {
        #expect(Self.scan(Array(text.utf8)) == nil)
    }

    @Test func refusesDeepNestingAndInvalidUTF8() {
        let deep = JSONObjectScanner.depthLimit - 1
        func nested(_ depth: Int) -> [UInt8] {
            Array("{\"a\":".utf8) + Array(repeating: UInt8(ascii: "["), count: depth)
                + Array(repeating: UInt8(ascii: "]"), count: depth) + Array("}".utf8)
        }
        #expect(Self.scan(nested(deep)) != nil)
        #expect(Self.scan(nested(deep + 2)) == nil)
        #expect(Self.scan(nested(1_000_000)) == nil)
        #expect(Self.scan(Array("{\"a\":\"".utf8) + [0xC3] + Array("\"}".utf8)) == nil)
    }

    @Test func refusesEveryStrictPrefix() {
        for sample in Self.samples {
            let text = Array(sample.utf8)
            let end = text.lastIndex(of: UInt8(ascii: "}")) ?? 0
            #expect(Self.scan(text) != nil, "\(sample)")
            for count in 0...end { #expect(Self.scan(Array(text.prefix(count))) == nil, "\(count) bytes of \(sample)") }
        }
    }

    @Test(arguments: UInt64(0)..<8)
    func agreesWithFoundationOnDamagedText(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let alphabet =
            Array(#"{}[]",:\u0123456789abcdefDE+-.truefalsn /"#.utf8) + [0, 9, 10, 31, 0x7F, 0xC3, 0xA9, 0xF0, 0xFF]
        for _ in 0..<1500 {
            var text = Array((Self.samples.randomElement(using: &random) ?? "").utf8)
            for _ in 0..<Int.random(in: 1...3, using: &random) where !text.isEmpty {
                let index = Int.random(in: 0..<text.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: text[index] = alphabet.randomElement(using: &random) ?? 0
                case 1: text.remove(at: index)
                default: text.insert(alphabet.randomElement(using: &random) ?? 0, at: index)
                }
            }
            let isAccepted = Self.scan(text) != nil
            guard let valid = String(validating: text, as: UTF8.self) else {
                #expect(!isAccepted, "seed \(seed): \(text)")
                continue
            }
            if let isObject = Self.isObject(valid) { #expect(isAccepted == isObject, "seed \(seed): \(valid)") }
        }
    }
}
