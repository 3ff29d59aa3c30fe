import Testing
import Threads
import WAL

@testable import Pipeline

@Suite struct TableWatchTests {
    private static let start = Instant(nanoseconds: 1_000_000_000)

    @Test func looksEveryFiveSecondsAndLessOftenWhereALookTakesLong() {
        var watch = TableWatch(at: Self.start)
        #expect(!watch.isDue(at: Self.start + .milliseconds(4999)))
        #expect(watch.isDue(at: Self.start + .seconds(5)))
        let end = Self.start + .seconds(6)
        watch.looked(from: end + .milliseconds(-50), to: end)
        #expect(!watch.isDue(at: end + .milliseconds(4999)))
        #expect(watch.isDue(at: end + .seconds(5)))
        #expect(watch.isChanged("a"))
        watch.read("a")
        #expect(!watch.isChanged("a") && watch.isChanged("b"))
        // A server that does not count.
        #expect(watch.isChanged(nil))
        watch.read(nil)
        #expect(watch.isChanged("a") && watch.isChanged(nil))
        // As one that is given up after two seconds.
        watch.looked(from: Self.start, to: Self.start + .seconds(2))
        #expect(!watch.isDue(at: Self.start + .seconds(201)))
        #expect(watch.isDue(at: Self.start + .seconds(202)))
    }
}
