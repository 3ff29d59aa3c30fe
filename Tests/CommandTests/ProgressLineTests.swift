import Testing

@testable import Console

@Suite struct ProgressLineTests {
    @Test func rateAndTimeLeftAreThoseOfTheTimeThatWasWatched() {
        #expect(
            ProgressLine.text("replay r7", count: 500, fraction: 0.5, elapsed: 10, note: "0 errors")
                == "replay r7  █████░░░░░ 50 %  500 events  50/s  10 s left  0 errors")
        // Half of it was there before somebody looked.
        #expect(
            ProgressLine.text("run 3", unit: "rows", count: 750, fraction: 0.75, before: (500, 0.5), elapsed: 10, note: "")
                == "run 3  ███████░░░ 75 %  750 rows  25/s  10 s left")
        // A table that begins anew.
        #expect(
            ProgressLine.text("run 3", unit: "rows", count: 10, fraction: 0.1, before: (500, 0.5), elapsed: 10, note: "") == "run 3  █░░░░░░░░░ 10 %  10 rows")
    }
}
