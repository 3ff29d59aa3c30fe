import SeededRandom
import Testing

@testable import Observing

@Suite struct RetryPolicyTests {
    private static func policy(_ strategy: RetryPolicy.Strategy, first: Int = 100, limit: Int = 1_000) -> RetryPolicy {
        var policy = RetryPolicy()
        policy.strategy = strategy
        policy.initialDelay = .milliseconds(first)
        policy.maxDelay = .milliseconds(limit)
        return policy
    }

    private static func delays(_ policy: RetryPolicy, random: Double = 0.5) -> [Duration] {
        (1...6).map { policy.delay(afterAttempt: $0, random: random) }
    }

    @Test func hasFraiseQLsDefaults() {
        let policy = RetryPolicy()
        #expect(policy.maxAttempts == 3)
        #expect(policy.initialDelay == .milliseconds(100))
        #expect(policy.maxDelay == .seconds(30))
        #expect(policy.strategy == .exponential)
    }

    @Test func growsAsFraiseQLs() {
        #expect(Self.delays(Self.policy(.exponential)) == [100, 200, 400, 800, 1_000, 1_000].map { .milliseconds($0) })
        #expect(Self.delays(Self.policy(.linear, first: 300)) == [300, 600, 900, 1_000, 1_000, 1_000].map { .milliseconds($0) })
        #expect(Self.delays(Self.policy(.fixed)) == Array(repeating: .milliseconds(100), count: 6))
        // Its own fixed delay has no limit either.
        #expect(Self.delays(Self.policy(.fixed, first: 2_000)) == Array(repeating: .milliseconds(2_000), count: 6))
    }

    @Test func jittersByAQuarter() {
        #expect(Self.delays(Self.policy(.exponential), random: 0) == [75, 150, 300, 600, 750, 750].map { .milliseconds($0) })
        #expect(Self.delays(Self.policy(.exponential), random: 1) == [125, 250, 500, 1_000, 1_250, 1_250].map { .milliseconds($0) })
        #expect(Self.policy(.exponential, first: 3).delay(afterAttempt: 1, random: 1) == .milliseconds(3))
    }

    @Test func neverOverflows() {
        var random = SplitMix64(seed: 7)
        let extremes = [Int.min, -1, 0, 1, 2, 61, 62, 63, 64, 65, 1_000, .max]
        for strategy in RetryPolicy.Strategy.allCases {
            for attempt in extremes {
                for chance in [0, 0.5, 1, -1, 2, .nan, .infinity, Double.random(in: 0...1, using: &random)] {
                    var policy = Self.policy(strategy)
                    policy.initialDelay = .milliseconds(86_400_000)
                    policy.maxDelay = .milliseconds(86_400_000)
                    let delay = policy.delay(afterAttempt: attempt, random: chance)
                    #expect(delay >= .zero && delay <= .milliseconds(86_400_000) * 1.25)
                }
            }
        }
    }
}
