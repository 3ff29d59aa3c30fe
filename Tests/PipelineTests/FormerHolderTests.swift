import History
import Testing
import Threads
import WAL

@testable import Pipeline

@Suite struct FormerHolderTests {
    private static let start = Instant(nanoseconds: 1_000_000_000)

    @Test func onlyOurOwnAndOnlyWhenItHasHadItsTime() {
        var former = FormerHolder()
        #expect(former.stillHolds(by: .slotActive(nil), at: Self.start) == false)
        former.holds(7)
        #expect(former.isNamed(by: .slotActive(SlotHolder(pid: 7))) && !former.isNamed(by: .slotActive(SlotHolder(pid: 8))))
        #expect(former.stillHolds(by: .slotActive(SlotHolder(pid: 7)), at: Self.start) == false)
        #expect(former.stillHolds(by: .slotActive(SlotHolder(pid: 8)), at: Self.start + .seconds(20)) == false)
        #expect(former.stillHolds(by: .serverShuttingDown, at: Self.start + .seconds(20)) == false)
        #expect(former.stillHolds(by: .slotActive(SlotHolder(pid: 7)), at: Self.start + .seconds(20)) == true)
        #expect(former.takeTelling() == 7)
        #expect(former.takeTelling() == nil)
        former.holds(9)
        #expect(former.stillHolds(by: .slotActive(SlotHolder(pid: 9)), at: Self.start + .seconds(21)) == false)
    }
}
