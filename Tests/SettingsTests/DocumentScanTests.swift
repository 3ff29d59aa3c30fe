import Testing

@testable import Settings

@Suite struct DocumentScanTests {
    @Test func findsTheLinesOfKeys() {
        let lines = DocumentScan(
            """
            # source.slot = "comment"
            top = 1

            [source]  # [not.this]
            slot = \"\"\"
            publication = "inside"
            \\\"\"\" still inside
            \"\"\"\"\"
            publication = 'it''s' # x = 1
            tables = [ # [a]
              "x]", # "
              'y',
            ]
            nats.url = { a = "}", b = [1,
            2] }
            "quoted \\"key" . 'x.y' = 3
            [ transport . "na.ts" ]
            url = "\\\\"
            [[list]]
            a = '''
            b = 1'''
            c = 2
            """)
        #expect(lines.line(of: ["top"]) == 2)
        #expect(lines.line(of: ["source"]) == 4)
        #expect(lines.line(of: ["source", "slot"]) == 5)
        #expect(lines.line(of: ["source", "publication"]) == 9)
        #expect(lines.line(of: ["source", "tables"]) == 10)
        #expect(lines.line(of: ["source", "nats", "url"]) == 14)
        #expect(lines.line(of: ["source", "nats", "url", "a"]) == 14)
        #expect(lines.line(of: ["source", "quoted \\\"key", "x.y"]) == 16)
        #expect(lines.line(of: ["transport", "na.ts", "url"]) == 18)
        #expect(lines.line(of: ["list", "a"]) == 20)
        #expect(lines.line(of: ["list", "c"]) == 22)
        #expect(lines.line(of: ["nowhere"]) == nil)
    }

    @Test func endsOnAnyText() {
        var generator = SplitMix(state: 7)
        let alphabet = Array("a.= \n\"'[]{}#\\\u{FEFF}")
        for _ in 0..<20_000 {
            let length = Int(generator.next() % 24)
            let text = String((0..<length).map { _ in alphabet[Int(generator.next() % UInt64(alphabet.count))] })
            _ = DocumentScan(text)
        }
    }

    @Test(arguments: [
        ("a = 1\n[$x]\n", 2, 2), ("[[ .x]]", 1, 4), ("[[[x]]]", 1, 3), ("a = [\u{85}1]", 1, 6), ("a =\u{A0}1", 1, 4),
        ("\u{A0}a = 1", 1, 1), ("[a\u{1}]", 1, 3), ("[", 1, 2), ("[]", 1, 2), ("a = [}\n", 1, 6),
        ("a = { b = [1] ]", 1, 15),
        ("a = 1979-05-27T-", 1, 9), ("a = [ 'x', 1979-05-27 } ]", 1, 16), ("a = 1_979-05-27 }", 1, 10),
    ])
    func stopsBeforeWhatTheParserDoesNotSurvive(text: String, line: Int, column: Int) {
        let fault = DocumentScan(text).fault
        #expect(fault?.line == line)
        #expect(fault?.column == column)
    }

    @Test(arguments: [
        "a = 1e-5", "a = [-1, 1E-5]", "a = \"1979-05-27\"", "a-1 = 1", "[1-a]", "1979-05-27 = 1",
        "a = 'x' # 1979-05-27 [}", "\u{FEFF}a = 'ä' # ö", "\"ä\" = 1",
    ])
    func letsTheRestPass(text: String) {
        #expect(DocumentScan(text).fault == nil)
    }
}
