import ArgumentParser
import Capture
import Foundation
import SeededRandom
import WireMessages

/// Damaged texts of arrays, composites, ranges and their like: each becomes an event or an error, and nothing traps.
struct FuzzCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fuzz", abstract: "Feeds damaged texts of structured values; a trap ends it.",
        discussion: "Example:\n  stage-benchmark fuzz --mutations 10000000 --seed 7")

    @Option(help: "How many damaged texts.")
    var mutations = 10_000_000

    @Option(help: "Of the damage; the same seed, the same texts.")
    var seed: UInt64 = 1

    /// One event in so many is read by another JSON parser.
    private static let inspectedInterval = 61

    private static let pairOID: UInt32 = 20_000
    private static let nestOID: UInt32 = 20_002
    private static let hstoreOID: UInt32 = 20_004
    private static let boxesOID: UInt32 = 20_005
    private static let rangeOID: UInt32 = 20_006
    private static let aloneOID: UInt32 = 20_008

    private static let types: [TypeRow] = [
        TypeRow(
            oid: pairOID, name: "pair", kind: "c",
            attributes: [.init(name: "a", typeOID: 23), .init(name: "say \"b\"", typeOID: 25)]),
        TypeRow(oid: 20_001, name: "_pair", kind: "b", elementOID: pairOID),
        TypeRow(
            oid: nestOID, name: "nest", kind: "c",
            attributes: [
                .init(name: "p", typeOID: pairOID), .init(name: "ps", typeOID: 20_001), .init(name: "t", typeOID: 1184),
                .init(name: "h", typeOID: hstoreOID), .init(name: "b", typeOID: 1000),
            ]),
        TypeRow(oid: 20_003, name: "_nest", kind: "b", elementOID: nestOID),
        TypeRow(oid: hstoreOID, name: "hstore", kind: "b", jsonCast: .hstore),
        TypeRow(oid: boxesOID, name: "_box", kind: "b", elementOID: 20_007, elementDelimiter: UInt8(ascii: ";")),
        TypeRow(oid: rangeOID, name: "int4range", kind: "r"), TypeRow(oid: 20_007, name: "box", kind: "b"),
        TypeRow(oid: aloneOID, name: "alone", kind: "c", attributes: [.init(name: "a", typeOID: 1007)]),
    ]

    /// What PostgreSQL writes of each type.
    private static let samples: [(typeOID: UInt32, texts: [String])] = [
        (1007, ["{}", "{1,NULL,-3}", "[0:1]={1,2}", "{{1,2},{3,NULL}}", "[-1:0][2:2]={{1},{2}}", "{{{{{{1}}}}}}"]),
        (1009, ["{}", #"{a,"b \"c\"",NULL,"","{x}","\\"}"#, #"{{"a,b",c},{"NULL",null}}"#]),
        (1231, ["{1.50,NaN,Infinity,-1e-10}"]), (1000, ["{t,f,NULL}"]),
        (1185, [#"{"2026-11-23 07:09:12.5+00",infinity,"0044-03-15 12:00:00+00 BC"}"#]),
        (pairOID, ["(1,x)", "(,)", #"(-1,"a ""b"", \\ (c)")"#, #"(7,"")"#]),
        (20_001, ["{\"(1,x)\",NULL,\"(2,\\\"a \\\\\"\\\\\"b\\\\\"\\\\\"\\\")\"}", "{}"]),
        (
            nestOID,
            [#"("(1,x)","{""(2,\\""y z\\"")"",NULL}","2026-11-23 07:09:12+00","""k""=>""v""","{t,f}")"#, "(,,,,)"]
        ),
        (20_003, [#"{"(\"(1,x)\",{},infinity,\"\",{t})",NULL}"#]),
        (hstoreOID, ["", #""a"=>"1", "b c"=>NULL, ""=>"\"\\""#]), (boxesOID, ["{(1,1),(0,0);(2,2),(1,1)}"]),
        (rangeOID, ["[1,5)", "empty", "(,)", "{[1,2),[4,5)}"]), (22, ["", "1 -2 3"]), (30, ["26 4294967295"]),
        (1184, ["2026-11-23 07:09:12.5+05:30", "-infinity"]), (16, ["t", "f"]), (1700, ["12.50", "NaN"]),
        (aloneOID, ["()", #"("{1,2}")"#, "({3})"]),
    ]

    private static let alphabet =
        Array(#"{}[]()",;:\=> tfNUL019.eE+-T"#.utf8) + [0, 1, 0x1F, 0x7F, 0x80, 0xC3, 0xA9, 0xF0, 0xFF]

    func run() throws {
        var random = SplitMix64(seed: seed)
        var feed = try Self.feed()
        var accepted = 0
        var refused = 0
        var inspected = 0
        let samples = Self.samples.map { $0.texts.map { Array($0.utf8) } }
        try feed.receive(WireMessage.begin(0x16B_3748))
        for number in 0..<mutations {
            let column = Int(random.next() % UInt64(samples.count))
            var text = samples[column][Int(random.next() % UInt64(samples[column].count))]
            Self.damage(&text, samples[Int(random.next() % UInt64(samples.count))][0], &random)
            let row = WireMessage.insert(into: UInt32(column + 1), [.bytes(text)])
            do {
                try feed.receive(row)
                accepted += 1
            } catch let error as CaptureError {
                // A session ends here; what is encoded next shows that nothing was left behind.
                switch error {
                case .poison: refused += 1
                default: throw error
                }
                continue
            }
            guard number % Self.inspectedInterval == 0, !Self.mayHoldHugeNumber(text) else { continue }
            inspected += 1
            // It waits for its `last`: the next one lets it out.
            feed.sink.keepsPayload = true
            try feed.receive(WireMessage.insert(into: 1, [.null]))
            feed.sink.keepsPayload = false
            guard (try? JSONSerialization.jsonObject(with: Data(feed.sink.payload))) != nil else {
                throw ValidationError(
                    "seed \(seed), mutation \(number): \(String(decoding: text, as: UTF8.self)) became no JSON")
            }
        }
        guard accepted > 0, refused > 0, inspected > 0 else {
            throw ValidationError("nothing was shown: \(mutations) are too few")
        }
        print(
            "seed \(seed): \(mutations) mutations, \(accepted) became events (\(inspected) of them read as JSON by another parser), \(refused) refused, 0 traps"
        )
    }

    /// Whether a number may be in it that no Double holds, which JSON allows and Foundation's parser refuses: `1e910`.
    private static func mayHoldHugeNumber(_ text: [UInt8]) -> Bool {
        zip(text, text.dropFirst()).contains { (0x30...0x39).contains($0) && $1 | 0x20 == UInt8(ascii: "e") }
    }

    private static func feed() throws -> Feed {
        var feed = try Feed(CaptureConfiguration(poisonPolicy: .stop))
        for type in types { feed.types.insert(type) }
        for (index, sample) in samples.enumerated() {
            try feed.receive(
                WireMessage.relation(
                    UInt32(index + 1), name: "t\(index)", columns: [.init(name: "v", typeOID: sample.typeOID)]))
        }
        return feed
    }

    /// One to four times: a byte changed, taken out, put in, the end cut off, a part of another text put in.
    private static func damage(_ text: inout [UInt8], _ other: [UInt8], _ random: inout SplitMix64) {
        for _ in 0...(random.next() % 4) {
            let index = text.isEmpty ? 0 : Int(random.next() % UInt64(text.count))
            let byte = alphabet[Int(random.next() % UInt64(alphabet.count))]
            switch random.next() % 5 {
            case 0: if !text.isEmpty { text[index] = byte }
            case 1: if !text.isEmpty { text.remove(at: index) }
            case 2: text.insert(byte, at: index)
            case 3: text.removeLast(text.count - index)
            default: text.insert(contentsOf: other, at: index)
            }
        }
    }
}
