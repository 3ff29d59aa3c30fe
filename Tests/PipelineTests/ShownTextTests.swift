import Pipeline
import Testing

@Suite struct ShownTextTests {
    @Test func leavesWhatIsNotTooLong() {
        let text = String(repeating: "é", count: ShownText.byteLimit / 2)
        #expect(ShownText.cut(text) == text)
    }

    @Test(arguments: ["x", "é", "🐘", "e\u{301}"])
    func cutsWhatIsTooLongAndSaysHowLongItWas(_ character: String) {
        let text = String(repeating: character, count: 1_000_000)
        let cut = ShownText.cut(text)
        #expect(cut.utf8.count < ShownText.byteLimit + 64)
        #expect(cut.hasSuffix("… (cut: \(text.utf8.count) bytes)"))
    }
}
