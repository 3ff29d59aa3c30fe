import Testing

@testable import Pipeline

@Suite struct StoredTimesTests {
    @Test func theQuantileIsAnEighthTooLongAtMost() throws {
        var times = StoredTimes()
        for milliseconds in 1...1000 { times.count(microseconds: Double(milliseconds) * 1000) }
        for share in [0.01, 0.5, 0.9, 0.99, 1] {
            let found = try #require(times.quantile(share, since: StoredTimes()))
            #expect(found >= share && found <= share * 1.13, "\(share): \(found)")
        }
    }

    @Test func onlyWhatCameSinceCounts() {
        var times = StoredTimes()
        #expect(times.quantile(0.99, since: times) == nil)
        for _ in 0..<1000 { times.count(microseconds: 5_000_000) }
        let before = times
        #expect(times.quantile(0.99, since: before) == nil)
        times.count(microseconds: 3)
        #expect(times.quantile(0.99, since: before) == 3e-6)
    }

    @Test(arguments: [0, -1, .infinity, -.infinity, 1e300, .greatestFiniteMagnitude] as [Double])
    func noTimeHoweverOddTraps(_ microseconds: Double) throws {
        var times = StoredTimes()
        times.count(microseconds: microseconds)
        #expect(try #require(times.quantile(0.5, since: StoredTimes())) >= 0)
    }
}
