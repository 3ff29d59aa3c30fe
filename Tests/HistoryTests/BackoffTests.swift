import History
import Testing

@Suite struct BackoffTests {
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
