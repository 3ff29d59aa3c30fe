import History
import Testing

@Suite struct StepsTests {
    @Test func aTerminalShowsALineForEachStep() {
        let text = Steps.text("Nothing was skipped. Two things are to be done", ["Set x = 2.5", "Use 2.10.26 or 1. of May", "Start"])
        #expect(text == "Nothing was skipped. Two things are to be done. 1. Set x = 2.5. 2. Use 2.10.26 or 1. of May. 3. Start")
        #expect(
            Steps.lines(of: text) == [
                "Nothing was skipped. Two things are to be done", "1. Set x = 2.5", "2. Use 2.10.26 or 1. of May", "3. Start",
            ])
    }

    @Test func textsWithoutStepsAreOneLine() {
        #expect(Steps.lines(of: "Correct source.url") == ["Correct source.url"])
        #expect(Steps.lines(of: "Set 2. of the values. Then 3. of them") == ["Set 2. of the values. Then 3. of them"])
        #expect(Steps.lines(of: Steps.text(["One"])) == ["1. One"])
        #expect(Steps.lines(of: "") == [])
    }
}
