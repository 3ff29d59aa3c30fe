import Testing
import Threads
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

    @Test func theWallClockIsThisCenturys() {
        let now = PostgresTimestamp.now.unixMicroseconds
        #expect(now > 1_700_000_000_000_000 && now < 4_102_444_800_000_000)
    }

    @Test func delaysDoubleUpToTheLimitEachBetweenHalfAndTheWhole() {
        var backoff = Backoff(first: .milliseconds(100), limit: .seconds(2))
        for whole in [100, 200, 400, 800, 1600, 2000, 2000, 2000] as [Int64] {
            let delay = backoff.delay()
            #expect(delay >= .milliseconds(whole / 2) && delay <= .milliseconds(whole))
        }
        backoff.reset()
        #expect(backoff.delay() <= .milliseconds(100))
    }

    @Test func aDelayThatMustBeShortDoesNotLetTheNextOnesGrow() {
        var backoff = Backoff()
        for _ in 0..<100 { #expect(backoff.delay(atMost: .seconds(1)) <= .seconds(1)) }
        // From there on, not from where the attempts would have led.
        #expect(backoff.delay() <= .seconds(2))
    }

    @Test func delaysOfManyAttemptsStayWithinTheLimit() {
        var backoff = Backoff()
        for _ in 0..<10_000 { #expect(backoff.delay() <= .seconds(10)) }
    }
}
