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
                $0.evidence, isMajorityCurrent: $0.isMajorityCurrent, at: began + .seconds($0.second))
        }
    }

    @Test func whatIsReadUnchangedForFifteenSecondsIsBelieved() {
        #expect(answers([(1, true, 0), (1, true, 1), (1, true, 14), (1, true, 15)]) == [false, false, false, true])
    }

    @Test func anotherReadingBeginsAnew() {
        #expect(answers([(1, true, 0), (2, true, 14), (2, true, 16), (2, true, 29)]) == [false, false, false, true])
    }

    @Test func withoutAMajorityNothingIsBelievedAndTheTimeBeginsAnew() {
        #expect(answers([(1, true, 0), (1, false, 20), (1, true, 30), (1, true, 35)]) == [false, false, false, true])
    }
}
