import Foundation
import PrivateServers
import Testing

@testable import JetStreamPublishing

@Suite struct LatchTests {
    @Test func whoComesLaterPassesAtOnce() {
        let latch = Latch()
        latch.open()
        latch.open()
        #expect(latch.wait(.zero))
        #expect(latch.wait(.seconds(60)))
    }

    @Test func aClosedOneIsWaitedForUntilTheTimeIsOver() {
        let latch = Latch()
        let start = ContinuousClock.now
        #expect(!latch.wait(.milliseconds(30)))
        #expect(ContinuousClock.now - start >= .milliseconds(30))
        #expect(!latch.wait(.zero))
        #expect(!latch.wait(.seconds(-1)))
    }

    @Test func allWhoWaitAreLetThrough() throws {
        for _ in 0..<200 {
            let latch = Latch()
            let passed = Counter()
            for _ in 0..<3 { Thread { if latch.wait(.seconds(60)) { passed.add() } }.start() }
            latch.open()
            try eventually("all have passed") { passed.value == 3 }
        }
    }
}
