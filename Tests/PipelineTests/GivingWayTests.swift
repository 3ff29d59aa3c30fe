import Testing
import WAL

@testable import Pipeline

@Suite struct GivingWayTests {
    /// A stream with so many live transactions a second, each of which takes as long as `time` says of the rows a second that go out when it commits, 0 while none do.
    private struct Streaming {
        var givingWay = GivingWay(at: Instant(nanoseconds: 0))
        var now = Instant(nanoseconds: 0)
        /// In each step of 4 ms.
        var sent: [Int] = []
        var transactionsASecond: Double
        /// Of the clock that tells when they committed, in microseconds.
        var difference: Double
        private var due = 0.0
        private var underWay: [(stored: Instant, time: Double)] = []

        init(transactionsASecond: Double = 200, difference: Double = 0) {
            self.transactionsASecond = transactionsASecond
            self.difference = difference
        }

        mutating func run(_ seconds: Int, _ time: (_ rowsASecond: Double) -> Double) {
            for _ in 0..<(seconds * 250) {
                now = now + .milliseconds(4)
                let stored = underWay.filter { $0.stored <= now }.map { $0.time + difference }
                underWay.removeAll { $0.stored <= now }
                let count = givingWay.allowance(at: now, times: stored)
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

    @Test func rowsThatCostNothingBecomeMore() {
        var streaming = Streaming(transactionsASecond: 2_000)
        streaming.run(30) { _ in 300 }
        #expect(streaming.givingWay.rate > 50_000)
    }

    /// However slow: what takes longer than a turn, or all of them, is counted for the turn in which it committed.
    @Test(arguments: [1_000, 30_000, 250_000, 600_000, 5_000_000]) func rowsThatMakeOthersSlowBecomeFewerAndNeverNone(_ slow: Double) {
        var streaming = Streaming()
        streaming.run(30) { _ in 300 }
        streaming.run(120) { $0 > 0 ? slow : 300 }
        #expect(streaming.givingWay.rate == GivingWay.rates.lowerBound)
        streaming.sent = []
        streaming.run(60) { $0 > 0 ? slow : 300 }
        #expect(streaming.sent.reduce(0, +) > 60 * 700)
    }

    /// The clock that tells of commits is put back, and then forward.
    @Test func clocksThatArePutRightAreForgotten() {
        var streaming = Streaming()
        for difference in [-5e6, 0] {
            streaming.difference = difference
            streaming.run(60) { _ in 300 }
            streaming.run(120) { $0 > 0 ? 30_000 : 300 }
            #expect(streaming.givingWay.rate == GivingWay.rates.lowerBound)
        }
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

    @Test(arguments: [-1e9, -500, 1e9]) func clocksThatDifferChangeNothing(_ difference: Double) {
        var right = Streaming(), wrong = Streaming(difference: difference)
        right.run(60) { 300 + $0 / 10 }
        wrong.run(60) { 300 + $0 / 10 }
        #expect(right.givingWay.rate == wrong.givingWay.rate)
        #expect(right.sent == wrong.sent)
    }

    @Test func aFifthOfTheTimeNoRowGoesOut() {
        var streaming = Streaming()
        streaming.run(60) { _ in 300 }
        let share = Double(streaming.sent.filter { $0 == 0 }.count) / Double(streaming.sent.count)
        #expect(share > 0.17 && share < 0.25, "\(share)")
    }

    /// Few transactions tell as much in a longer time.
    @Test func aFewTransactionsASecondAreEnough() {
        var streaming = Streaming(transactionsASecond: 9.7)
        streaming.run(300) { $0 > 0 ? 30_000 : 300 }
        #expect(streaming.givingWay.rate == GivingWay.rates.lowerBound)
    }

    @Test func whatWasNotSentIsNotMadeUpFor() {
        var streaming = Streaming()
        streaming.run(60) { _ in 300 }
        let rate = streaming.givingWay.rate
        streaming.now = streaming.now + .seconds(100)
        // Its turn may be one without rows.
        let counts = (0..<200).map { _ in
            streaming.now = streaming.now + .milliseconds(1)
            return streaming.givingWay.allowance(at: streaming.now, times: [])
        }
        #expect(counts.allSatisfy { Double($0) <= rate * 0.008 + 1 })
    }

    /// A pause of the server, once, costs a third of the rate and is forgotten.
    @Test func oneDisturbanceIsNoRule() {
        var streaming = Streaming()
        streaming.run(60) { _ in 300 }
        let before = streaming.givingWay.rate
        streaming.run(1) { _ in 500_000 }
        streaming.run(4) { _ in 300 }
        #expect(streaming.givingWay.rate >= before * 0.3)
        streaming.run(60) { _ in 300 }
        #expect(streaming.givingWay.rate >= before)
    }
}
