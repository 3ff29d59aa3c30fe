import SeededRandom
import Testing
import WAL

@testable import Capture

@Suite struct RFC3339Tests {
    @Test(arguments: [
        "2026-11-23T07:09:12Z", "2026-11-23t07:09:12z", "2026-11-23T07:09:12.5+00:00",
        "2026-11-23T07:09:12.123456789-23:59",
        "0000-01-01T00:00:00Z", "9999-12-31T23:59:60Z", "2024-02-29T00:00:00Z", "2000-02-29T00:00:00Z",
    ])
    func takesWhatTheGrammarAllows(text: String) {
        #expect(RFC3339.isTimestamp(Array(text.utf8)))
    }

    @Test(arguments: [
        "", "2026-11-23", "2026-11-23T07:09:12", "2026-11-23 07:09:12Z", "2026-11-23T07:09Z", "2026-11-23T07:09:12.Z",
        "2026-11-23T07:09:12+0000", "2026-11-23T07:09:12+00", "2026-11-23T07:09:12+24:00", "2026-11-23T07:09:12+00:60",
        "2026-13-23T07:09:12Z", "2026-00-23T07:09:12Z", "2026-11-00T07:09:12Z", "2026-11-31T07:09:12Z",
        "2026-02-29T07:09:12Z", "1900-02-29T07:09:12Z", "2026-11-23T24:09:12Z", "2026-11-23T07:60:12Z",
        "2026-11-23T07:09:61Z", "26-11-23T07:09:12Z", "+2026-11-23T07:09:12Z", "2026-11-23T07:09:12Zx",
        " 2026-11-23T07:09:12Z",
        "2026-11-23T07:09:12.5.5Z", "infinity", "٢٠٢٦-11-23T07:09:12Z",
    ])
    func refusesTheRest(text: String) {
        #expect(!RFC3339.isTimestamp(Array(text.utf8)))
    }

    @Test func takesNoStrictPrefix() {
        let text = Array("2026-11-23T07:09:12.123456+00:00".utf8)
        for count in text.indices { #expect(!RFC3339.isTimestamp(Array(text.prefix(count)))) }
    }

    @Test func takesEveryCommitTimeThatEventsCarry() {
        var random = SplitMix64(seed: 3)
        for _ in 0..<5000 {
            // From the year 0 to the year 9999.
            let microseconds = Int64.random(in: -63_113_904_000_000_000...252_455_615_999_999_999, using: &random)
            let text = PostgresTimestamp(microseconds).description
            #expect(text.utf8.count == 32 && RFC3339.isTimestamp(Array(text.utf8)), "\(microseconds): \(text)")
        }
    }
}
