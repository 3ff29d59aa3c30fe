import History
import Testing

@Suite struct ShownTextTests {
    @Test func leavesWhatIsNotTooLong() {
        let text = String(repeating: "é", count: ShownText.byteLimit / 2)
        #expect(ShownText.cut(text) == text)
    }

    @Test(arguments: [
        ("connection failed: refused\n\tIs the server running?\n", "connection failed: refused; Is the server running?"),
        ("SELECT 1\r\n\r\n  FROM t", "SELECT 1; FROM t"),
        ("red \u{1B}[31malert\u{7}\u{85}x", "red [31malert x"),
        ("two  blanks stay", "two  blanks stay"),
    ])
    func aLineHasNoBreaksAndNothingThatMovesACursor(_ text: String, _ line: String) {
        #expect(ShownText.line(text) == line)
    }

    @Test(arguments: ["x", "é", "🐘", "e\u{301}"])
    func cutsWhatIsTooLongAndSaysHowLongItWas(_ character: String) {
        let text = String(repeating: character, count: 1_000_000)
        let cut = ShownText.cut(text)
        #expect(cut.utf8.count < ShownText.byteLimit + 64)
        #expect(cut.hasSuffix("… (cut: \(text.utf8.count) bytes)"))
    }
}
