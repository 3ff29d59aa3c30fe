import Testing
import Threads
import WAL

@testable import Pipeline

@Suite struct SilenceWatchTests {
    private static let start = Instant(nanoseconds: 1_000_000_000)

    private static func at(_ seconds: Int64) -> Instant { start + .seconds(seconds) }

    @Test func asksAgainAndAgainAndOnlyInSilence() {
        var watch = SilenceWatch(limit: .seconds(900), at: Self.start)
        #expect(watch.takeQuestion(at: Self.at(4)) == false)
        #expect(watch.takeQuestion(at: Self.at(5)) == true)
        #expect(watch.takeQuestion(at: Self.at(9)) == false)
        #expect(watch.takeQuestion(at: Self.at(10)) == true)
        watch.heard(at: Self.at(11))
        #expect(watch.takeQuestion(at: Self.at(15)) == false)
        #expect(watch.takeQuestion(at: Self.at(16)) == true)
    }

    @Test func silenceIsToldAndThenOver() {
        var watch = SilenceWatch(limit: .seconds(900), at: Self.start)
        // Nobody asked: it owes nothing.
        #expect(watch.verdict(at: Self.at(2000)) == .fine)
        _ = watch.takeQuestion(at: Self.at(5))
        #expect(watch.verdict(at: Self.at(29)) == .fine)
        #expect(watch.verdict(at: Self.at(30)) == .silent(.seconds(30)))
        #expect(watch.verdict(at: Self.at(899)) == .silent(.seconds(899)))
        #expect(watch.verdict(at: Self.at(900)) == .over(.seconds(900)))
        watch.heard(at: Self.at(900))
        #expect(watch.verdict(at: Self.at(900)) == .fine)
    }

    @Test func itIsToldLongBeforeAShortLimit() {
        var watch = SilenceWatch(limit: .seconds(10), at: Self.start)
        _ = watch.takeQuestion(at: Self.at(5))
        #expect(watch.verdict(at: Self.at(5)) == .silent(.seconds(5)))
        #expect(watch.verdict(at: Self.at(10)) == .over(.seconds(10)))
    }
}
