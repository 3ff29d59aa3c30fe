import Foundation
import SeededRandom
import Testing

@testable import Capture

/// Texts of values that PostgreSQL writes, and damaged ones that it never would.
@Suite struct ValueTextTests {
    private static func json(_ text: [UInt8], _ form: ValueForm) -> [UInt8]? {
        var buffer = OutputBuffer()
        var context = ValueContext()
        buffer.append("before")
        let fault = text.withUnsafeBytes { buffer.appendValue($0, as: form, &context) }
        #expect(buffer.bytes.starts(with: "before".utf8))
        return fault == nil ? Array(buffer.bytes.dropFirst(6)) : nil
    }

    private static func array(_ text: String, _ shape: ValueShape = .text) -> String? {
        written(text, .array(of: .scalar(shape), delimiter: UInt8(ascii: ",")))
    }

    private static func written(_ text: String, _ form: ValueForm) -> String? {
        json(Array(text.utf8), form).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func record(_ fields: (name: String, form: ValueForm)...) -> ValueForm {
        .composite(
            CompositeForm(fields: fields.map { .init(key: JSONText.string($0.name) + Array(":".utf8), form: $0.form) }))
    }

    @Test func readsCompositesAsPostgreSQLWritesThem() {
        let pair = Self.record(("a", .scalar(.number)), ("b", .scalar(.text)))
        let comma = UInt8(ascii: ",")
        #expect(Self.written("(1,x)", pair) == #"{"a":1,"b":"x"}"#)
        #expect(Self.written("(,)", pair) == #"{"a":null,"b":null}"#)
        #expect(Self.written(#"(1,"")"#, pair) == #"{"a":1,"b":""}"#)
        #expect(Self.written(#"(1,"a ""b"", \\ (c)")"#, pair) == #"{"a":1,"b":"a \"b\", \\ (c)"}"#)
        #expect(Self.written("()", Self.record(("a", .scalar(.text)))) == #"{"a":null}"#)
        #expect(Self.written("()", Self.record()) == "{}")
        let nested = Self.record(("p", pair), ("ps", .array(of: pair, delimiter: comma)))
        #expect(
            Self.written(#"("(1,""a b"")","{""(2,\\""x,y\\"")"",NULL}")"#, nested)
                == #"{"p":{"a":1,"b":"a b"},"ps":[{"a":2,"b":"x,y"},null]}"#)
    }

    @Test(arguments: ["", "(", ")", "1,2", "(1,2", "1,2)", #"(1,"x)"#, #"(1,"x"y)"#, #"(1,"x\"#, "(x,1)x"])
    func refusesCompositesThatPostgreSQLDoesNotWrite(text: String) {
        #expect(Self.written(text, Self.record(("a", .scalar(.text)), ("b", .scalar(.text)))) == nil)
    }

    @Test func aCompositeOfAnotherNumberOfFieldsIsNoticedOrGoesOutAsText() {
        let form = Self.record(("a", .scalar(.boolean)), ("b", .scalar(.text)))
        for text in ["(t)", "()", "(t,x,y)", #"(1,"a,b",)"#] {
            var buffer = OutputBuffer()
            var context = ValueContext()
            let bytes = Array(text.utf8)
            #expect(bytes.withUnsafeBytes { buffer.appendValue($0, as: form, &context) } == .compositeChanged)
            context.writesChangedCompositesAsText = true
            buffer.removeAll()
            #expect(bytes.withUnsafeBytes { buffer.appendValue($0, as: form, &context) } == nil)
            #expect(Array(buffer.bytes) == JSONText.string(text) && context.unknownTypeValueCount == 1)
        }
    }

    @Test(arguments: [
        ("", "{}"), (#""a"=>"1""#, #"{"a": "1"}"#),
        (#""a"=>NULL, "b c"=>"x\"y\\z", ""=>"""#, #"{"a": null, "b c": "x\"y\\z", "": ""}"#),
    ])
    func readsHstoreAsItsCastDoes(text: String, json: String) {
        #expect(Self.written(text, .hstore) == json)
    }

    @Test(arguments: [
        "a", #""a""#, #""a"="#, #""a"=>"#, #""a"=>"1","#, #""a"=>"1", "#, #""a"=>1"#, #""a"=>"1" "b"=>"2""#,
    ])
    func refusesHstoreThatPostgreSQLDoesNotWrite(text: String) {
        #expect(Self.written(text, .hstore) == nil)
    }

    @Test func readsVectorsByTheirSpaces() {
        #expect(Self.written("", .vector(of: .number)) == "[]")
        #expect(Self.written("1 -2 3", .vector(of: .number)) == "[1,-2,3]")
        #expect(Self.written("26 1", .vector(of: .text)) == #"["26","1"]"#)
        for text in [" ", "1 ", " 1", "1  2"] { #expect(Self.written(text, .vector(of: .number)) == nil) }
    }

    @Test func castsAreAskedForAndWhatHasNoneGoesOutAsText() {
        var buffer = OutputBuffer()
        let answers: [String: CastAnswer] = ["x": .json(#"{"v" : 1}"#), "gone": .unknown, "bad": .failed]
        func cast(_ text: String) -> (OutputBuffer.ValueFault?, String, UInt64) {
            var context = ValueContext()
            let request = CastRequest(typeOID: 20_000, text: text)
            if let answer = answers[text] { context.casts.answered([request], [answer]) }
            defer { #expect(context.casts.requests == (answers[text] == nil ? [request] : [])) }
            buffer.removeAll()
            let fault = Array(text.utf8).withUnsafeBytes {
                buffer.appendValue($0, as: .cast(typeOID: 20_000), &context)
            }
            return (fault, String(decoding: buffer.bytes, as: UTF8.self), context.unknownTypeValueCount)
        }
        #expect(cast("x") == (nil, #"{"v" : 1}"#, 0))
        #expect(cast("gone") == (nil, #""gone""#, 1))
        #expect(cast("bad") == (nil, #""bad""#, 0))
        #expect(cast("not asked yet") == (nil, "", 0))
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
        #expect(Self.written(text, .scalar(.timestampWithTimeZone)) == json)
    }

    /// Whatever the bytes: nothing traps, and what is written is JSON.
    @Test(arguments: UInt64(0)..<8)
    func writesJSONOrNothing(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let samples = [
            #"{a,"b \"c\"",NULL,"\\x6869","{1,2}"}"#, "{{1,2},{3,4}}", "[0:1]={1,2}", "2026-11-23 07:09:12.5+00 BC",
            "t", "12.50",
            "NaN", "{t,f,NULL}", #"(1,"{1,""a b""}")"#, #"{"(1,\"{2,3}\")",NULL}"#, #""a"=>"1", "b"=>NULL"#, "1 2 3",
            #"{"2026-01-02 03:04:05+00",infinity}"#,
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
            let comma = UInt8(ascii: ",")
            func form(_ shape: ValueShape) -> ValueForm {
                let pair = Self.record(("a", .scalar(shape)), ("b", .array(of: .scalar(shape), delimiter: comma)))
                return [
                    .scalar(shape), .array(of: .scalar(shape), delimiter: comma), pair,
                    .array(of: pair, delimiter: comma), .vector(of: shape), .hstore,
                ].randomElement(using: &random) ?? .unknown
            }
            // `json` is PostgreSQL's own and copied; it is only here that it may be damaged.
            _ = Self.json(text, form(.json))
            guard let written = Self.json(text, form(shape)) else { continue }
            #expect(
                (try? JSONSerialization.jsonObject(with: Data(written), options: .fragmentsAllowed)) != nil,
                "seed \(seed): \(text) as \(shape) became \(String(decoding: written, as: UTF8.self))")
        }
    }
}
