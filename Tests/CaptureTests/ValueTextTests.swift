import Foundation
import Testing

@testable import Capture

/// Texts of values that PostgreSQL writes, and damaged ones that it never would.
@Suite struct ValueTextTests {
    private static func json(_ text: [UInt8], _ shape: ValueShape, isArray: Bool) -> [UInt8]? {
        var buffer = OutputBuffer()
        buffer.append("before")
        let fault = text.withUnsafeBytes {
            isArray
                ? buffer.appendArray($0, of: shape, delimiter: UInt8(ascii: ",")) : buffer.appendScalar($0, as: shape)
        }
        #expect(buffer.bytes.starts(with: "before".utf8))
        return fault == nil ? Array(buffer.bytes.dropFirst(6)) : nil
    }

    private static func array(_ text: String, _ shape: ValueShape = .text) -> String? {
        json(Array(text.utf8), shape, isArray: true).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test(arguments: [
        ("{}", "[]"), ("{a,b}", #"["a","b"]"#), (#"{"",NULL,"NULL","null"}"#, #"["",null,"NULL","null"]"#),
        (#"{"a \"b\"","c\\d","{","}","x,y"}"#, #"["a \"b\"","c\\d","{","}","x,y"]"#), ("[0:1]={a,b}", #"["a","b"]"#),
        ("{{a,b},{c,d}}", #"[["a","b"],["c","d"]]"#), ("[2:3][-1:0]={{a,b},{c,d}}", #"[["a","b"],["c","d"]]"#),
    ])
    func readsArraysAsPostgreSQLWritesThem(text: String, json: String) {
        #expect(Self.array(text) == json)
    }

    @Test func givesEveryElementItsShape() {
        #expect(Self.array("{1,NULL,NaN,-2.50}", .number) == #"[1,null,"NaN",-2.50]"#)
        #expect(Self.array("{t,f,NULL}", .boolean) == "[true,false,null]")
        #expect(Self.array(#"{"{\"a\": \"b\\\\\"}",null,"[1, 2]"}"#, .json) == #"[{"a": "b\\"},null,[1, 2]]"#)
        #expect(
            Self.array(#"{"2026-01-02 03:04:05+00",infinity}"#, .timestampWithTimeZone)
                == #"["2026-01-02T03:04:05+00:00","infinity"]"#)
    }

    @Test func unescapesElementsLongerThanTheBuffer() {
        let element = String(repeating: "\u{1}\\\"é", count: 50_000)
        let quoted = element.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"")
        let expected = element.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"")
            .replacingOccurrences(of: "\u{1}", with: "\\u0001")
        #expect(Self.array("{\"\(quoted)\",x,\"\(quoted)\"}") == "[\"\(expected)\",\"x\",\"\(expected)\"]")
    }

    @Test(arguments: [
        "", "{", "}", "a", "{a", "{a,}", "{,a}", "{a}}", "{{a}", "{\"a}", "{\"a\\", "{\"a\\}", "{a}x", "[0:1]",
        "[0:1]=", "[",
        "{a,,b}", "{\"a\"b}", "{{{{{{{a}}}}}}}", "{\"a\"\"b\"}",
    ])
    func refusesArraysThatPostgreSQLDoesNotWrite(text: String) {
        #expect(Self.array(text) == nil)
    }

    @Test(arguments: [
        ("2026-11-23 07:09:12.5+00", "\"2026-11-23T07:09:12.5+00:00\""), ("infinity", "\"infinity\""),
        ("-infinity", "\"-infinity\""), ("0044-03-15 00:00:00+00 BC", "\"0044-03-15T00:00:00+00:00 BC\""),
        ("294276-12-31 23:59:59.999999+00", "\"294276-12-31T23:59:59.999999+00:00\""),
        ("2026-11-23 07:09:12+05:30", "\"2026-11-23T07:09:12+05:30\""),
        ("2026-11-23 07:09:12-03", "\"2026-11-23T07:09:12-03:00\""),
    ])
    func putsATAndAFullOffsetIntoTimestamps(text: String, json: String) {
        let written = Self.json(Array(text.utf8), .timestampWithTimeZone, isArray: false)
        #expect(written.map { String(decoding: $0, as: UTF8.self) } == json)
    }

    /// Whatever the bytes: nothing traps, and what is written is JSON.
    @Test(arguments: UInt64(0)..<8)
    func writesJSONOrNothing(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let samples = [
            #"{a,"b \"c\"",NULL,"\\x6869","{1,2}"}"#, "{{1,2},{3,4}}", "[0:1]={1,2}", "2026-11-23 07:09:12.5+00 BC",
            "t", "12.50",
            "NaN", "{t,f,NULL}", #"{"2026-01-02 03:04:05+00",infinity}"#,
        ]
        let alphabet = Array(#"{}[]",:\ =tfNUL019.eE+-T"#.utf8) + [0, 1, 0x1F, 0x7F, 0x80, 0xC3, 0xA9, 0xF0, 0xFF]
        let shapes: [ValueShape] = [.number, .boolean, .text, .timestamp, .timestampWithTimeZone]
        for _ in 0..<3000 {
            var text = Array((samples.randomElement(using: &random) ?? "").utf8)
            for _ in 0..<Int.random(in: 0...4, using: &random) where !text.isEmpty {
                let index = Int.random(in: 0..<text.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: text[index] = alphabet.randomElement(using: &random) ?? 0
                case 1: text.remove(at: index)
                case 2: text = Array(text.prefix(index))
                default: text.insert(alphabet.randomElement(using: &random) ?? 0, at: index)
                }
            }
            let shape = shapes.randomElement(using: &random) ?? .text
            let isArray = Bool.random(using: &random)
            // `json` is PostgreSQL's own and copied; it is only here that it may be damaged.
            _ = Self.json(text, .json, isArray: isArray)
            guard let written = Self.json(text, shape, isArray: isArray) else { continue }
            #expect(
                (try? JSONSerialization.jsonObject(with: Data(written), options: .fragmentsAllowed)) != nil,
                "seed \(seed): \(text) as \(shape) became \(String(decoding: written, as: UTF8.self))")
        }
    }
}
