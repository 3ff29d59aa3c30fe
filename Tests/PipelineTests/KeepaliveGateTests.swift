import Testing
import Threads
import WAL

@testable import Pipeline

@Suite struct KeepaliveGateTests {
    private static let start = Instant(nanoseconds: 1_000_000_000)

    @Test func believesWhatTheServerIsKnownToHaveWritten() {
        var gate = KeepaliveGate(serverEnd: LSN(100))
        #expect(gate.received(LSN(100), at: Self.start) == LSN(100))
        #expect(!gate.isHolding)
    }

    @Test func holdsBackWhatLiesBeyondUntilTheServerHasWrittenIt() {
        var gate = KeepaliveGate(serverEnd: LSN(100))
        #expect(gate.received(LSN(101), at: Self.start) == nil)
        #expect(gate.isHolding)
        #expect(gate.serverWrote(upTo: LSN(100)) == nil)
        #expect(gate.serverWrote(upTo: LSN(130)) == LSN(101))
        #expect(!gate.isHolding)
        // Never cut down: what it has written it may not have decoded.
        #expect(gate.received(LSN(131), at: Self.start) == nil)
        #expect(gate.serverWrote(upTo: LSN(130)) == nil)
    }

    @Test func aDamagedPositionDoesNotHideTheTrueOnesBehindIt() {
        var gate = KeepaliveGate(serverEnd: LSN(100))
        #expect(gate.received(LSN(.max), at: Self.start) == nil)
        #expect(gate.received(LSN(90), at: Self.start) == LSN(90))
        #expect(gate.serverWrote(upTo: LSN(1000)) == nil)
    }

    @Test func aPositionThatTheServerNeverReachesIsTold() {
        var gate = KeepaliveGate(serverEnd: LSN(100))
        for second in 0..<10 {
            let now = Self.start + .seconds(second)
            #expect(gate.received(LSN(1 << 40), at: now) == nil)
            #expect(gate.serverWrote(upTo: LSN(100 + UInt64(second))) == nil)
            #expect(gate.implausible(at: now) == nil)
        }
        #expect(gate.implausible(at: Self.start + .seconds(10)) == LSN(1 << 40))
    }
}
