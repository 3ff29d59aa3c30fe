import Testing
import WAL

@Suite struct InstantTests {
    @Test func differencesAreNeverNegative() {
        let early = Instant(nanoseconds: 5)
        let late = Instant(nanoseconds: 9)
        #expect(late.duration(since: early) == .nanoseconds(4))
        #expect(early.duration(since: late) == .zero)
        #expect(early + .milliseconds(1) == Instant(nanoseconds: 1_000_005))
        #expect(early + .seconds(-1) == early)
    }

    @Test func millisecondsAreRoundedUpSoThatNothingSpins() {
        #expect(Duration.zero.milliseconds == 0)
        #expect(Duration.nanoseconds(1).milliseconds == 1)
        #expect(Duration.milliseconds(1).milliseconds == 1)
        #expect((Duration.seconds(2) + .microseconds(1)).milliseconds == 2001)
    }
}
