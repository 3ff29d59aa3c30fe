import SeededRandom
import Testing

@testable import Capture

@Suite struct OutputBufferTests {
    /// PostgreSQL's `escape_json`, a character at a time.
    private static func escaped(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\u{8}": result += "\\b"
            case "\u{C}": result += "\\f"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\0"..<" ":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    private static func jsonString(_ bytes: [UInt8]) -> [UInt8]? {
        var buffer = OutputBuffer()
        let isWritten = bytes.withUnsafeBytes { buffer.appendJSONString($0) }
        return isWritten ? Array(buffer.bytes) : nil
    }

    @Test func escapesEveryCharacterAtEveryPlaceAsPostgreSQLDoes() {
        let scalars =
            (0..<0x180).compactMap { Unicode.Scalar(UInt32($0)) } + ["\u{2028}", "\u{FFFF}", "😀", "\u{10FFFF}"]
        for scalar in scalars {
            for place in 0..<9 {
                let filler = String(repeating: "a", count: place)
                let text = filler + String(Character(scalar)) + filler
                #expect(
                    Self.jsonString(Array(text.utf8)) == Array(Self.escaped(text).utf8), "\(scalar.value) at \(place)")
            }
        }
    }

    @Test(arguments: UInt64(0)..<10)
    func escapesRandomText(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let pieces: [Unicode.Scalar] = [
            "a", "b", " ", "\"", "\\", "\n", "\u{1}", "\u{1F}", "\u{7F}", "é", "漢", "😀", "/", "!", "#", "[",
        ]
        for _ in 0..<300 {
            var text = ""
            for _ in 0..<Int.random(in: 0...70, using: &random) {
                text.unicodeScalars.append(pieces.randomElement(using: &random) ?? "x")
            }
            #expect(Self.jsonString(Array(text.utf8)) == Array(Self.escaped(text).utf8), "seed \(seed): \(text)")
        }
    }

    @Test func takesUTF8AndNothingElse() {
        // All sequences of up to three bytes that matter, then random ones, each also in the middle of text.
        let interesting: [UInt8] = [
            0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE,
            0xEF,
            0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
        ]
        var sequences: [[UInt8]] = [[]]
        for first in UInt8.min...UInt8.max { sequences.append([first]) }
        for first in interesting {
            for second in interesting {
                sequences.append([first, second])
                for third in interesting { sequences.append([first, second, third]) }
            }
        }
        var random = SplitMix64(seed: 4)
        for _ in 0..<20_000 {
            sequences.append(
                (0..<Int.random(in: 4...12, using: &random)).map { _ in interesting.randomElement(using: &random) ?? 0 }
            )
        }
        for sequence in sequences {
            let isValid = String(validating: sequence, as: UTF8.self) != nil
            #expect(sequence.withUnsafeBytes { UTF8Validation.isValid($0) } == isValid, "\(sequence)")
            #expect(
                (Self.jsonString(Array("abcdefg".utf8) + sequence + Array("hi".utf8)) != nil) == isValid, "\(sequence)")
        }
    }

    @Test func writesDecimalsOfEveryLength() {
        var value: UInt64 = 1
        for _ in 0..<20 {
            for number in [value - 1, value, value &+ 1] {
                var buffer = OutputBuffer()
                buffer.append(decimal: number)
                #expect(Array(buffer.bytes) == Array(String(number).utf8))
            }
            value = value &* 10
        }
        var buffer = OutputBuffer()
        buffer.append(decimal: .max)
        #expect(Array(buffer.bytes) == Array("18446744073709551615".utf8))
    }

    @Test func growsAndGivesBackWhatIsOverItsCap() {
        var buffer = OutputBuffer()
        let piece = [UInt8](repeating: 7, count: 1000)
        for _ in 0..<2000 { buffer.append(piece) }
        #expect(buffer.count == 2_000_000 && buffer.bytes.allSatisfy { $0 == 7 })
        buffer.removeAll()
        #expect(buffer.count == 0)
        buffer.append("again")
        #expect(Array(buffer.bytes) == Array("again".utf8))
    }

    @Test(arguments: [
        ("0", true), ("-0", true), ("12.50", true), ("1e+20", true), ("-1.5E-10", true), ("", false), ("-", false),
        ("01", false), ("1.", false), (".5", false), ("1e", false), ("1e+", false), ("NaN", false), ("Infinity", false),
        ("-Infinity", false), ("+1", false), ("1 ", false), ("0x1", false), ("1.5.5", false), ("00", false),
        ("1e5.5", false),
    ])
    func knowsANumberOfJSON(text: String, isNumber: Bool) {
        #expect(Array(text.utf8).withUnsafeBytes { OutputBuffer.isJSONNumber($0) } == isNumber)
    }
}
