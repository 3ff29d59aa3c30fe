import Testing
import Threads
import WAL

@testable import Pipeline

@Suite struct LagClockTests {
    private let start = Instant(nanoseconds: 1_000_000_000_000)

    @Test func nobodyKnowsBeforeTheFirstLookNorHowOldWhatIsFoundThenIs() {
        var clock = LagClock()
        #expect(clock.age(at: start) == nil)
        clock.looked(LSN(100), at: start)
        clock.stored(upTo: LSN(99))
        #expect(clock.age(at: start + .seconds(9)) == nil)
        clock.stored(upTo: LSN(100))
        #expect(clock.age(at: start + .seconds(9)) == .zero)
    }

    @Test func whatIsFoundAtTheFirstLookIsAsOldAsSomebodyTells() {
        var clock = LagClock()
        clock.looked(LSN(100), at: start)
        clock.learned(age: .seconds(60), at: start + .seconds(10))
        #expect(clock.age(at: start + .seconds(20)) == .seconds(70))
        // What is known is not learned again.
        clock.learned(age: .seconds(3600), at: start + .seconds(20))
        #expect(clock.age(at: start + .seconds(20)) == .seconds(70))
        clock.stored(upTo: LSN(100))
        #expect(clock.age(at: start + .seconds(20)) == .zero)
    }

    @Test func whatIsWrittenLaterIsAsOldAsTheFirstLookThatSawIt() {
        var clock = LagClock()
        clock.looked(LSN(100), at: start)
        clock.stored(upTo: LSN(100))
        clock.looked(LSN(100), at: start + .seconds(5))
        #expect(clock.age(at: start + .seconds(6)) == .zero)
        clock.looked(LSN(200), at: start + .seconds(10))
        clock.looked(LSN(300), at: start + .seconds(15))
        #expect(clock.age(at: start + .seconds(16)) == .seconds(6))
        clock.stored(upTo: LSN(250))
        #expect(clock.age(at: start + .seconds(18)) == .seconds(3))
        // On its way.
        #expect(clock.age(at: start + .seconds(16)) == .zero)
    }

    @Test func aServerWhoseWALIsShorterIsAnother() {
        var clock = LagClock()
        clock.looked(LSN(1000), at: start)
        clock.learned(age: .seconds(1), at: start)
        clock.looked(LSN(10), at: start + .seconds(5))
        #expect(clock.age(at: start + .seconds(6)) == nil)
    }

    @Test func anHourOfLooksKeepsTheOldestAndLittleElse() {
        var clock = LagClock()
        clock.looked(LSN(1), at: start)
        clock.stored(upTo: LSN(1))
        for number in 1...7200 {
            clock.looked(LSN(UInt64(number) + 1), at: start + .milliseconds(500 * number))
        }
        #expect(clock.age(at: start + .seconds(3600)) == .milliseconds(3_599_500))
        #expect(clock.lookCount <= LagClock.limit)
    }
}
