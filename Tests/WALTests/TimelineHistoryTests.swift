import Testing
import WAL

@Suite struct TimelineHistoryTests {
    /// As PostgreSQL 15 writes it.
    private static let text =
        "1\t0/3000148\tno recovery target specified\n\n2\t0/5000000\tbefore 2000-01-01 00:00:00+00\n"

    private func history() throws -> TimelineHistory {
        try #require(TimelineHistory(currentTimeline: 3, text: Self.text))
    }

    @Test func readsTimelinesAndSwitchPoints() throws {
        let history = try history()
        #expect(history.currentTimeline == 3)
        #expect(history.ancestors.map(\.timeline) == [1, 2])
        #expect(history.switchPoint(of: 1) == LSN("0/3000148"))
        #expect(history.switchPoint(of: 2) == LSN("0/5000000"))
        #expect(history.switchPoint(of: 3) == nil)
        #expect(history.switchPoint(of: 4) == nil)
    }

    @Test func aPositionBelongsToTheTimelineThatItsRecordStartsOn() throws {
        let history = try history()
        #expect(history.timeline(containing: LSN(1)) == 1)
        #expect(history.timeline(containing: LSN(0x3000147)) == 1)
        #expect(history.timeline(containing: LSN(0x3000148)) == 2)
        #expect(history.timeline(containing: LSN(0x4FFFFFF)) == 2)
        #expect(history.timeline(containing: LSN(0x5000000)) == 3)
        #expect(history.timeline(containing: LSN(.max)) == 3)
    }

    @Test func knowsItsOwnTimelinesOnly() throws {
        let history = try #require(TimelineHistory(currentTimeline: 5, text: "1\t0/3000148\tx\n4\t0/5000000\ty\n"))
        #expect([1, 4, 5].allSatisfy(history.contains(timeline:)))
        #expect(![0, 2, 3, 6].contains(where: history.contains(timeline:)))
    }

    @Test func aTimelineNeverBranchedOffHoldsEverything() {
        let history = TimelineHistory(currentTimeline: 1)
        #expect(history.timeline(containing: LSN(.max)) == 1)
        #expect(history.switchPoint(of: 1) == nil)
        #expect(TimelineHistory(currentTimeline: 1, text: "") == history)
    }

    @Test func commentsSpacesAndAMissingReasonAreFine() {
        let history = TimelineHistory(currentTimeline: 2, text: "# made by hand\n   \n  1   0/10 \r\n")
        #expect(history?.switchPoint(of: 1) == LSN(0x10))
    }

    @Test(arguments: [
        "1\n", "x\t0/1\tr\n", "1\t0-1\tr\n", "-1\t0/1\tr\n", "3\t0/1\tnot an ancestor\n", "4\t0/1\tr\n",
        "2\t0/1\tr\n1\t0/2\tr\n", "1\t0/1\tr\n1\t0/2\tr\n", "1\t0/2\tr\n2\t0/1\tr\n", "4294967296\t0/1\tr\n",
    ])
    func refusesWhatIsNoHistory(text: String) {
        #expect(TimelineHistory(currentTimeline: 3, text: text) == nil)
    }
}
