import SeededRandom
import Testing
import Threads
import WAL

@testable import Pipeline

@Suite struct PublishChainTests {
    private static let start = Instant(nanoseconds: 1_000_000_000)

    private static func chain(after lastSequence: UInt64 = 0, accepted count: Int) -> PublishChain {
        var chain = PublishChain(lastSequence: lastSequence)
        for _ in 0..<count { chain.accepted(at: start) }
        return chain
    }

    @Test func theFirstMessageFollowsTheStreamsLast() {
        let chain = PublishChain(lastSequence: 41)
        #expect(chain.nextToken == 42)
        #expect(chain.firstInFlightToken == 42)
        #expect(chain.inFlightCount == 0)
    }

    @Test func acksInOrderReleaseWhatTheyName() throws {
        var chain = Self.chain(after: 41, accepted: 10)
        #expect(try chain.stored(42...44) == 3)
        #expect(try chain.stored(45...45) == 1)
        #expect(chain.inFlightCount == 6)
        #expect(chain.nextToken == 52)
    }

    @Test func acksBeforeTheirPredecessorsWaitForThem() throws {
        var chain = Self.chain(accepted: 10)
        #expect(try chain.stored(3...4) == 0)
        #expect(try chain.stored(7...7) == 0)
        #expect(try chain.stored(5...6) == 0)
        #expect(chain.firstInFlightToken == 1)
        #expect(try chain.stored(1...2) == 7)
        #expect(chain.firstInFlightToken == 8)
    }

    @Test(arguments: [0...0, 1...1, 2...3, 11...11, 10...11, 9_000...9_001] as [ClosedRange<UInt64>])
    func acksOfWhatIsNotInFlightAreFaults(_ range: ClosedRange<UInt64>) throws {
        var chain = Self.chain(accepted: 10)
        _ = try chain.stored(1...2)
        #expect(throws: PublishChain.Fault.unexpectedAck(token: range.lowerBound)) { try chain.stored(range) }
        #expect(chain.inFlightCount == 8)
    }

    @Test func earlyAcksAreBounded() throws {
        var chain = Self.chain(accepted: 1_000)
        for token in stride(from: UInt64(3), through: 129, by: 2) { #expect(try chain.stored(token...token) == 0) }
        #expect(throws: PublishChain.Fault.self) { try chain.stored(200...200) }
    }

    @Test func isOverdueOnceTheOldestHasWaitedLongerThanTheLimit() throws {
        var chain = PublishChain(lastSequence: 0)
        #expect(!chain.isOverdue(at: Self.start + .seconds(99), ackTimeout: .seconds(1)))
        chain.accepted(at: Self.start)
        chain.accepted(at: Self.start + .milliseconds(500))
        #expect(!chain.isOverdue(at: Self.start + .seconds(1), ackTimeout: .seconds(1)))
        #expect(chain.isOverdue(at: Self.start + .milliseconds(1001), ackTimeout: .seconds(1)))
        // The oldest is stored: the next one's time counts.
        _ = try chain.stored(1...1)
        #expect(!chain.isOverdue(at: Self.start + .milliseconds(1400), ackTimeout: .seconds(1)))
        #expect(chain.isOverdue(at: Self.start + .milliseconds(1501), ackTimeout: .seconds(1)))
        _ = try chain.stored(2...2)
        #expect(!chain.isOverdue(at: Self.start + .seconds(99), ackTimeout: .seconds(1)))
    }

    /// Against a set of tokens: shuffled acks, early ones, repeated ones, ones of nothing.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func releasesExactlyTheUnbrokenPrefixOfWhatIsAcknowledged(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var chain = PublishChain(lastSequence: 100)
        var acknowledged: Set<UInt64> = []
        var next: UInt64 = 101
        var first: UInt64 = 101
        var now = Self.start
        for _ in 0..<50_000 {
            now = now + .milliseconds(Int64.random(in: 0...20, using: &random))
            if next - first < 50, Bool.random(using: &random) {
                chain.accepted(at: now)
                next += 1
                continue
            }
            // Mostly what is next; sometimes later, sometimes nonsense.
            let low =
                first + (Int.random(in: 0..<4, using: &random) == 0 ? UInt64.random(in: 0...30, using: &random) : 0)
            let high = low + UInt64.random(in: 0...2, using: &random)
            let isInFlight = high < next
            if isInFlight, (low...high).contains(where: { acknowledged.contains($0) }) { continue }
            let released = try? chain.stored(low...high)
            guard let released else {
                // Refused: not in flight, or more early ones than are kept.
                #expect(!isInFlight || low > first, "seed \(seed)")
                continue
            }
            #expect(isInFlight, "seed \(seed)")
            acknowledged.formUnion(low...high)
            var expected = 0
            while acknowledged.remove(first) != nil {
                first += 1
                expected += 1
            }
            #expect(released == expected, "seed \(seed)")
            #expect(chain.firstInFlightToken == first && chain.nextToken == next)
        }
    }
}
