import PrivateServers
import Testing
import Threads

@testable import Pipeline
import WAL

/// Every state × everything that happens.
@Suite struct PublishingMachineTests {
    private typealias State = PublishingMachine.State
    private typealias Action = PublishingMachine.Action
    private typealias Input = (inout PublishingMachine) -> Action

    private static let end = Instant(nanoseconds: 7)
    private static let fastBatch = PublishingMachine.Flight.fastBatch(base: 3, count: 4)
    private static let states: [State] = [
        .settling(.chained, .start), .settling(fastBatch, .refused), .resting(until: end, .refused), .reading(.refused),
        .comparing, .publishing(.chained), .publishing(.atomicBatch), .publishing(.fastBatchStarting),
        .publishing(fastBatch), .publishing(.fastBatchEnding), .mending, .ended,
    ]

    /// Leads a machine to `state` by what happens.
    private func machine(in state: State) throws -> PublishingMachine {
        var machine = PublishingMachine()
        if state == machine.state { return machine }
        _ = machine.settled(restingUntil: nil)
        _ = machine.wasRead(hasStrays: false)
        if state == .mending || state == .ended {
            _ = machine.wasCompared(isMending: true)
            if state == .ended { _ = machine.mended() }
        } else if state != .comparing {
            _ = machine.wasCompared(isMending: false)
            switch state {
            case .publishing(let flight): machine.sent(flight)
            case .settling(let flight, let cause):
                machine.sent(flight)
                _ = machine.troubled(cause)
            case .resting(let end, let cause):
                _ = machine.troubled(cause)
                _ = machine.settled(restingUntil: end)
            case .reading(let cause):
                _ = machine.troubled(cause)
                _ = machine.settled(restingUntil: nil)
            case .comparing, .mending, .ended: break
            }
        }
        guard machine.state == state else { throw TestFailure("no way to \(state)") }
        return machine
    }

    /// In each state that `changes` does not name, `input` changes nothing and asks for nothing.
    private func check(_ what: String, _ changes: [(State, State, Action)], _ input: Input) throws {
        for state in Self.states {
            var machine = try machine(in: state)
            let action = input(&machine)
            let change = changes.first { $0.0 == state } ?? (state, state, .none)
            #expect(machine.state == change.1, "\(what) in \(state)")
            #expect(action == change.2, "\(what) in \(state)")
        }
    }

    @Test func troubleEndsSendingAndComparingOnly() throws {
        try check(
            "trouble",
            [
                (.comparing, .settling(.chained, .ackTimeout), .settle),
                (.publishing(.chained), .settling(.chained, .ackTimeout), .settle),
                (.publishing(.atomicBatch), .settling(.atomicBatch, .ackTimeout), .settle),
                (.publishing(.fastBatchStarting), .settling(.fastBatchStarting, .ackTimeout), .settle),
                (.publishing(Self.fastBatch), .settling(Self.fastBatch, .ackTimeout), .settle),
                (.publishing(.fastBatchEnding), .settling(.fastBatchEnding, .ackTimeout), .settle),
            ]
        ) { $0.troubled(.ackTimeout) }
    }

    @Test func whatHasSettledIsReadAtOnceOrAfterARest() throws {
        try check(
            "settled",
            [
                (.settling(.chained, .start), .reading(.start), .read),
                (.settling(Self.fastBatch, .refused), .reading(.refused), .read),
            ]
        ) { $0.settled(restingUntil: nil) }
        try check(
            "settled, with a rest",
            [
                (.settling(.chained, .start), .resting(until: Self.end, .start), .rest),
                (.settling(Self.fastBatch, .refused), .resting(until: Self.end, .refused), .rest),
            ]
        ) { $0.settled(restingUntil: Self.end) }
    }

    @Test func aRestEndsWithReading() throws {
        try check("rested", [(.resting(until: Self.end, .refused), .reading(.refused), .read)]) { $0.rested() }
    }

    @Test func whatIsReadInVainIsReadAgainLater() throws {
        let later = Instant(nanoseconds: 9)
        try check("read in vain", [(.reading(.refused), .resting(until: later, .refused), .rest)]) {
            $0.readInVain(restingUntil: later)
        }
    }

    @Test(arguments: [false, true]) func whatIsReadIsCompared(hasStrays: Bool) throws {
        try check("read", [(.reading(.refused), .comparing, .compare)]) { $0.wasRead(hasStrays: hasStrays) }
    }

    @Test func whatIsComparedIsGoneOnFrom() throws {
        try check("compared", [(.comparing, .publishing(.chained), .publish)]) { $0.wasCompared(isMending: false) }
        try check("compared by mend", [(.comparing, .mending, .mend)]) { $0.wasCompared(isMending: true) }
    }

    @Test func amendmentEndsIt() throws {
        try check("mended", [(.mending, .ended, .end)]) { $0.mended() }
    }

    @Test func nothingIsSentButWhilePublishing() throws {
        for flight in [.chained, .atomicBatch, .fastBatchStarting, Self.fastBatch, .fastBatchEnding] as [PublishingMachine.Flight] {
            let changes = Self.states.compactMap { state -> (State, State, Action)? in
                guard case .publishing = state else { return nil }
                return (state, .publishing(flight), .none)
            }
            try check("sent \(flight)", changes) { machine in
                machine.sent(flight)
                return .none
            }
        }
    }

    @Test func aFastBatchIsOpenOnceItHasStarted() throws {
        try check(
            "fast batch started",
            [(.publishing(.fastBatchStarting), .publishing(.fastBatch(base: 3, count: 1)), .none)]
        ) { machine in
            machine.fastBatchStarted(base: 3)
            return .none
        }
    }

    @Test func aFastBatchThatEndedIsNoneAnyMore() throws {
        try check(
            "fast batch ended",
            [
                (.publishing(.fastBatchStarting), .publishing(.chained), .none),
                (.publishing(Self.fastBatch), .publishing(.chained), .none),
                (.publishing(.fastBatchEnding), .publishing(.chained), .none),
            ]
        ) { machine in
            machine.fastBatchEnded()
            return .none
        }
    }

    @Test func anAttemptIsFruitlessUntilSomethingIsStored() throws {
        try check("stored", []) { machine in
            machine.stored()
            return .none
        }
        var machine = try machine(in: .publishing(.chained))
        #expect(!machine.isFruitless)
        _ = machine.troubled(.refused)
        #expect(machine.isFruitless)
        machine.stored()
        #expect(!machine.isFruitless)
        _ = machine.settled(restingUntil: nil)
        _ = machine.wasRead(hasStrays: false)
        _ = machine.troubled(.refused)
        #expect(!machine.isFruitless)
        _ = machine.settled(restingUntil: nil)
        _ = machine.wasRead(hasStrays: false)
        _ = machine.troubled(.refused)
        #expect(machine.isFruitless)
        _ = machine.settled(restingUntil: nil)
        // What strays refused costs no time.
        _ = machine.wasRead(hasStrays: true)
        #expect(!machine.isFruitless)
    }
}
