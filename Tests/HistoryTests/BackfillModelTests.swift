import Testing

/// A backfill's rules against thousands of schedules: transactions that are shown late, crashes of the streamer and of PostgreSQL, rows that move.
@Suite struct BackfillModelTests {
    private static let seedCount: UInt64 = 2_000

    /// Parts of the seeds, which may run at the same time.
    @Test(arguments: 0..<UInt64(4))
    func whoeverFoldsTheStreamHasTheTable(_ part: UInt64) {
        var sum = BackfillModel.Tally()
        for seed in stride(from: part, to: Self.seedCount, by: 4) {
            var model = BackfillModel(seed: seed, rule: .whole)
            let ending = model.run()
            #expect(ending == .whole, "seed \(seed)")
            sum.walked += model.tally.walked
            sum.dropped += model.tally.dropped
            sum.readAgain += model.tally.readAgain
            sum.resets += model.tally.resets
            sum.restarts += model.tally.restarts
            sum.crashes += model.tally.crashes
            sum.serverCrashes += model.tally.serverCrashes
        }
        for count in [sum.walked, sum.dropped, sum.readAgain, sum.resets, sum.restarts, sum.crashes, sum.serverCrashes] {
            #expect(count > 100, "\(sum)")
        }
    }

    /// Each part of the rules is needed.
    @Test(arguments: BackfillModel.Rule.allCases.filter { $0 != .whole })
    func simplerRulesLose(_ rule: BackfillModel.Rule) {
        for seed in 0..<4 * Self.seedCount {
            var model = BackfillModel(seed: seed, rule: rule)
            let ending = model.run()
            guard ending == .whole else {
                #expect(ending != .lost("no progress"), "seed \(seed)")
                return
            }
        }
        Issue.record("nothing was lost")
    }
}
