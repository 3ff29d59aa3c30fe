import Testing
import WAL

@testable import Pipeline

@Suite struct GivingWayTests {
    /// A stream with so many live transactions a second, each of which takes as long as `time` says of the rows a second that go out when it commits, 0 while none do.
    private struct Streaming {
        var givingWay = GivingWay(at: Instant(nanoseconds: 0))
        var now = Instant(nanoseconds: 0)
        var transactionsASecond: Double
        /// Rows that there are to send, a second.
        var supply = Double.infinity
        /// Of the clock that tells when they committed, in microseconds.
        var difference: Double
        /// In each step of 4 ms.
        var sent: [Int] = []
        private var due = 0.0
        private var supplied = 0.0
        private var underWay: [(stored: Instant, time: Double)] = []

        init(transactionsASecond: Double = 200, difference: Double = 0) {
            self.transactionsASecond = transactionsASecond
            self.difference = difference
        }

        /// One that has had much to send for a while, and nobody minded.
        static func underLoad(difference: Double = 0) -> Streaming {
            var streaming = Streaming(transactionsASecond: 2_000, difference: difference)
            streaming.run(30) { _ in 300 }
            streaming.transactionsASecond = 200
            streaming.sent = []
            return streaming
        }

        mutating func run(_ seconds: Int, _ time: (_ rowsASecond: Double) -> Double) {
            for _ in 0..<(seconds * 250) {
                now = now + .milliseconds(4)
                let stored = underWay.filter { $0.stored <= now }.map { $0.time + difference }
                underWay.removeAll { $0.stored <= now }
                let allowed = givingWay.allowance(at: now, times: stored)
                supplied = min(supplied + supply * 0.004, supply / 2, 1e6)
                let count = min(allowed, Int(supplied))
                supplied -= Double(count)
                givingWay.spent(count)
                sent.append(count)
                due += transactionsASecond * 0.004
                while due >= 1 {
                    due -= 1
                    let taken = time(count > 0 ? givingWay.rate : 0)
                    underWay.append((now + .microseconds(Int64(taken)), taken))
                }
            }
        }
    }

    @Test func rowsThatCostNothingBecomeMore() { #expect(Streaming.underLoad().givingWay.rate > 50_000) }

    /// However slow: what takes longer than a turn, or all of them, is counted for the turn in which it committed.
    @Test(arguments: [1_000, 30_000, 250_000, 600_000, 5_000_000]) func rowsThatMakeOthersSlowBecomeFewerAndNeverNone(_ slow: Double) {
        var streaming = Streaming.underLoad()
        streaming.run(150) { $0 > 0 ? slow : 300 }
        #expect(streaming.givingWay.rate == GivingWay.rates.lowerBound)
        streaming.sent = []
        streaming.run(60) { $0 > 0 ? slow : 300 }
        // A fifth of the time is without rows.
        #expect(streaming.sent.reduce(0, +) > 60 * 750)
    }

    /// Where each row costs something, there are about as many as make the slow ones a quarter slower.
    @Test func rowsAreAsManyAsTheirCostAllows() {
        var streaming = Streaming()
        var number = 0
        streaming.run(300) { rate in
            number += 1
            // One in ten waits for something else, rows or not.
            return (number % 10 == 0 ? 1_000 : 300) * (1 + rate / 80_000)
        }
        #expect(streaming.givingWay.rate > 4_000 && streaming.givingWay.rate < 16_000, "\(streaming.givingWay.rate)")
    }

    /// What did not go out cost nothing, and says nothing of what would.
    @Test(arguments: [0, 300, 5_000]) func rowsThatThereAreNotRaiseNothing(_ supply: Double) {
        var streaming = Streaming()
        streaming.supply = supply
        streaming.run(300) { _ in 300 }
        #expect(streaming.givingWay.rate <= max(GivingWay.rates.lowerBound, 3.2 * supply), "\(streaming.givingWay.rate)")
    }

    @Test(arguments: [-1e9, -500, 1e9]) func clocksThatDifferChangeNothing(_ difference: Double) {
        var right = Streaming(), wrong = Streaming(difference: difference)
        right.run(60) { 300 + $0 / 10 }
        wrong.run(60) { 300 + $0 / 10 }
        #expect(right.givingWay.rate == wrong.givingWay.rate)
        #expect(right.sent == wrong.sent)
    }

    /// A clock is put back, and then forward: afterwards all is as before.
    @Test(arguments: [[-5e6, 0], [5e6, 0], [-4e3, 4e3]]) func clocksThatArePutRightAreForgotten(_ differences: [Double]) {
        var streaming = Streaming.underLoad()
        for difference in differences {
            streaming.difference = difference
            streaming.run(150) { $0 > 0 ? 30_000 : 300 }
            #expect(streaming.givingWay.rate == GivingWay.rates.lowerBound, "\(difference)")
            streaming.run(120) { _ in 300 }
            #expect(streaming.givingWay.rate > 10 * GivingWay.rates.lowerBound, "\(difference)")
        }
    }

    @Test func aFifthOfTheTimeNoRowGoesOut() {
        var streaming = Streaming()
        streaming.run(60) { _ in 300 }
        let share = Double(streaming.sent.filter { $0 == 0 }.count) / Double(streaming.sent.count)
        #expect(share > 0.17 && share < 0.25, "\(share)")
    }

    /// Few transactions tell as much in a longer time.
    @Test func aFewTransactionsASecondAreEnough() {
        var streaming = Streaming.underLoad()
        streaming.transactionsASecond = 9.7
        streaming.run(1_500) { $0 > 0 ? 30_000 : 300 }
        #expect(streaming.givingWay.rate == GivingWay.rates.lowerBound, "\(streaming.givingWay.rate)")
    }

    @Test func whatWasNotSentIsNotMadeUpFor() {
        var streaming = Streaming.underLoad()
        let rate = streaming.givingWay.rate
        streaming.now = streaming.now + .seconds(100)
        // Its turn may be one without rows.
        let counts = (0..<200).map { _ in
            streaming.now = streaming.now + .milliseconds(1)
            return streaming.givingWay.allowance(at: streaming.now, times: [])
        }
        #expect(counts.contains { $0 > 0 } && counts.allSatisfy { Double($0) <= rate * 0.008 + 1 })
    }

    /// A server that is away for a while is no measure, neither of what rows cost nor of how things are without them.
    @Test(arguments: [1, 2, 3]) func oneDisturbanceIsNoRule(_ seconds: Int) {
        var streaming = Streaming.underLoad()
        streaming.run(60) { 300 + $0 / 200 }
        let before = streaming.givingWay.rate
        streaming.run(seconds) { _ in 500_000 }
        var rates: [Double] = []
        for _ in 0..<30 {
            streaming.run(1) { 300 + $0 / 200 }
            rates.append(streaming.givingWay.rate)
        }
        #expect(rates.allSatisfy { $0 >= before * 0.4 && $0 <= before * 2 }, "\(before): \(rates)")
    }

    /// What went out without being held to a rate is not how things are without rows.
    @Test func whatIsLetGoIsATurnWithRows() {
        var streaming = Streaming()
        // The first turn is one without rows.
        streaming.givingWay.letGo(at: streaming.now)
        #expect(streaming.givingWay.allowance(at: streaming.now + .milliseconds(4), times: [300]) == 4)
    }
}
