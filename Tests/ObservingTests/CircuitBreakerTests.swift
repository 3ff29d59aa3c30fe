import Testing

@testable import Observing

@Suite struct CircuitBreakerTests {
    private let start = ContinuousClock.Instant.now

    private func opened(_ host: String = "a") -> CircuitBreaker {
        var breaker = CircuitBreaker()
        for _ in 0..<CircuitBreaker.failureLimit { breaker.failed(host, now: start) }
        return breaker
    }

    @Test func opensAfterFiveFailuresInARow() {
        var breaker = CircuitBreaker()
        for _ in 0..<4 {
            breaker.failed("a", now: start)
            #expect(breaker.mayTry("a", now: start) == .yes)
        }
        breaker.failed("a", now: start)
        #expect(breaker.mayTry("a", now: start) == .waitUntil(start + .seconds(1)))
        #expect(breaker.mayTry("b", now: start) == .yes)
        #expect(breaker.openHosts == ["a"])
    }

    @Test func aSuccessStartsTheCountAnew() {
        var breaker = CircuitBreaker()
        for _ in 0..<4 { breaker.failed("a", now: start) }
        breaker.succeeded("a")
        for _ in 0..<4 { breaker.failed("a", now: start) }
        #expect(breaker.mayTry("a", now: start) == .yes)
    }

    @Test func letsExactlyOneThrough() {
        var breaker = opened()
        let later = start + .seconds(1)
        #expect(breaker.mayTry("a", now: later) == .yes)
        #expect(breaker.mayTry("a", now: later) == .waitUntil(later + .seconds(1)))
        breaker.succeeded("a")
        #expect(breaker.mayTry("a", now: later) == .yes)
        #expect(breaker.mayTry("a", now: later) == .yes)
        #expect(breaker.openHosts == [])
    }

    @Test func staysAwayLongerEachTime() {
        var breaker = opened()
        var now = start + .seconds(1)
        for seconds in [2, 4, 8, 16, 32, 60, 60, 60] {
            #expect(breaker.mayTry("a", now: now) == .yes)
            breaker.failed("a", now: now)
            let open = now + .seconds(seconds)
            #expect(breaker.mayTry("a", now: open - .nanoseconds(1)) == .waitUntil(open))
            now = open
        }
        #expect(breaker.mayTry("a", now: now) == .yes)
        breaker.succeeded("a")
        // Closed again, it begins with the first pause.
        for _ in 0..<5 { breaker.failed("a", now: now) }
        #expect(breaker.mayTry("a", now: now) == .waitUntil(now + .seconds(1)))
    }

    /// Requests that were under way when it opened.
    @Test func isNotOpenedLongerByLateFailures() {
        var breaker = opened()
        for _ in 0..<20 { breaker.failed("a", now: start + .milliseconds(500)) }
        #expect(breaker.mayTry("a", now: start + .seconds(1)) == .yes)
    }

    @Test func letsAnotherThroughWhereTheFirstIsForgotten() {
        var breaker = opened()
        #expect(breaker.mayTry("a", now: start + .seconds(1)) == .yes)
        #expect(breaker.mayTry("a", now: start + .seconds(60)) != .yes)
        #expect(breaker.mayTry("a", now: start + .seconds(61)) == .yes)
    }

    @Test func forgetsWhatWasIdleLongest() {
        var breaker = CircuitBreaker()
        for index in 0...CircuitBreaker.hostLimit {
            for _ in 0..<5 { breaker.failed("h\(index)", now: start + .seconds(index)) }
        }
        #expect(breaker.openHosts.count == CircuitBreaker.hostLimit)
        #expect(breaker.mayTry("h0", now: start) == .yes)
        #expect(breaker.mayTry("h1", now: start) != .yes)
    }

    /// An event that fails for a reason of its own is one failure, and does not stand in the way of the others.
    @Test func oneEventAloneOpensNothing() {
        var breaker = CircuitBreaker()
        let now = ContinuousClock.now
        for _ in 0..<20 {
            #expect(breaker.mayTry("h", by: 7, now: now) == .yes)
            breaker.failed("h", by: 7, isAnswered: true, now: now)
        }
        #expect(breaker.openHosts == [])
        // A host that does not answer is away, whoever asks.
        for _ in 0..<5 { breaker.failed("h", by: 7, now: now) }
        #expect(breaker.openHosts == ["h"])
    }

    @Test func whoFailedAsTheOneThatTriesGoesBehindTheOthers() {
        var breaker = CircuitBreaker()
        let now = ContinuousClock.now
        for asker in UInt64(1)...5 { breaker.failed("h", by: asker, now: now) }
        #expect(breaker.openHosts == ["h"])
        var later = now + CircuitBreaker.firstPause
        #expect(breaker.mayTry("h", by: 1, now: later) == .yes)
        breaker.failed("h", by: 1, now: later)
        later += CircuitBreaker.pauseLimit
        // Alone it may try again; with somebody else there it waits.
        #expect(breaker.mayTry("h", by: 2, now: later - CircuitBreaker.pauseLimit) != .yes)
        #expect(breaker.mayTry("h", by: 1, now: later) == .waitUntil(later + CircuitBreaker.firstPause))
        #expect(breaker.mayTry("h", by: 2, now: later) == .yes)
        breaker.succeeded("h")
        #expect(breaker.openHosts == [])
    }
}
