import Capture
import Testing
import WAL

@testable import Pipeline

@Suite struct StreamComparisonTests {
    /// The exact rule believes nothing that is not so, whatever arrives when.
    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func noScheduleOfStraysAndPredecessorsIsBelievedWrongly(part: UInt64) {
        var endings: [ChainModel.Ending: Int] = [:]
        for seed in part * 100_000..<part * 100_000 + 5_000 {
            var model = ChainModel(seed: seed, rule: .exact)
            let ending = model.run()
            if case .silent(let what) = ending { Issue.record("seed \(seed): \(what)") }
            endings[ending, default: 0] += 1
        }
        #expect(endings[.whole, default: 0] > 1_000)
        #expect(endings[.stopped, default: 0] > 100)
    }

    /// The model tells a rule that loses events.
    @Test func theWeakerRuleIsFoundOut() {
        var silentCount = 0
        for seed in 1...2_000 as ClosedRange<UInt64> {
            var model = ChainModel(seed: seed, rule: .presentOursRising)
            if case .silent = model.run() { silentCount += 1 }
        }
        #expect(silentCount > 200)
    }
}
