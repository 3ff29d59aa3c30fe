import History
import Testing
import WAL

struct SuspicionTests {
    /// What it says to readings of evidence, each with its second.
    private func answers(_ readings: [(evidence: Int, isMajorityCurrent: Bool, second: Int64)]) -> [Bool] {
        let began = Instant(nanoseconds: 1)
        var suspicion = Suspicion<Int>()
        return readings.map {
            suspicion.isBelievable(
                $0.evidence, isMajorityCurrent: $0.isMajorityCurrent, readFrom: began + .seconds($0.second),
                to: began + .seconds($0.second))
        }
    }

    @Test func whatIsReadUnchangedForFifteenSecondsIsBelieved() {
        #expect(answers([(1, true, 0), (1, true, 1), (1, true, 14), (1, true, 15)]) == [false, false, false, true])
    }

    @Test func theTimeInWhichAReadingStoodStillDoesNotCount() {
        let began = Instant(nanoseconds: 0)
        var suspicion = Suspicion<Int>()
        func isBelievable(_ first: Int64, _ last: Int64) -> Bool {
            suspicion.isBelievable(1, isMajorityCurrent: true, readFrom: began + .seconds(first), to: began + .seconds(last))
        }
        #expect(!isBelievable(0, 20))
        // Begun a second after the first was over, and read before the process stood still.
        #expect(!isBelievable(21, 60))
        #expect(isBelievable(61, 61))
    }

    @Test func anotherReadingBeginsAnew() {
        #expect(answers([(1, true, 0), (2, true, 14), (2, true, 16), (2, true, 29)]) == [false, false, false, true])
    }

    @Test func withoutAMajorityNothingIsBelievedAndTheTimeBeginsAnew() {
        #expect(answers([(1, true, 0), (1, false, 20), (1, true, 30), (1, true, 35)]) == [false, false, false, true])
    }
}
