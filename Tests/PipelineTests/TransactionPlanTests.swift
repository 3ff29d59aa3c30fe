import Testing

@testable import Pipeline

@Suite struct TransactionPlanTests {
    private static let limits = TransactionPlan.Limits(eventCount: 10, byteCount: 1_000)

    /// The plan for events that wait from count 100 on: a letter each, capital for a transaction's last, of 10 bytes.
    private static func next(
        _ events: String, isInside: Bool = false, inFlight: TransactionPlan.InFlight = .nothing, isFull: Bool = false,
        byteCount: Int = 10
    ) -> TransactionPlan {
        let isLast = events.map(\.isUppercase)
        return TransactionPlan.next(
            100..<100 + UInt64(isLast.count), isInside: isInside, inFlight: inFlight, limits: limits, isFull: isFull
        ) { TransactionPlan.Event(isLast: isLast[Int($0 - 100)], byteCount: byteCount) }
    }

    @Test func wholeTransactionsGoTogether() {
        #expect(Self.next("aA") == .batch(through: 102))
        #expect(Self.next("aABcC") == .batch(through: 105))
        #expect(Self.next("AbB") == .batch(through: 103))
    }

    @Test func whatIsAtomicByItselfNeedsNoBatch() {
        #expect(Self.next("A") == .chained(through: 101))
        #expect(Self.next("ABCD") == .chained(through: 104))
        #expect(Self.next("ABcc") == .chained(through: 102))
        #expect(Self.next("AbB", inFlight: .chained) == .chained(through: 101))
    }

    @Test func oneBatchIsInFlightAndNothingBesideIt() {
        #expect(Self.next("aA", inFlight: .batch) == .wait)
        #expect(Self.next("A", inFlight: .batch) == .wait)
        #expect(Self.next("aA", inFlight: .chained) == .wait)
        #expect(Self.next("", inFlight: .nothing) == .wait)
    }

    @Test func aTransactionThatIsNotWholeIsHeldBack() {
        #expect(Self.next("aaa") == .hold)
        #expect(Self.next("aAbb") == .batch(through: 102))
    }

    @Test func aBatchIsFullWithTheLastTransactionThatFits() {
        #expect(Self.next("aAbbbBccccC") == .batch(through: 106))
        #expect(Self.next("aaaaaaaaaA") == .batch(through: 110))
        #expect(Self.next("aAbB", byteCount: 300) == .batch(through: 102))
    }

    @Test func whatFitsInNoBatchIsChained() {
        #expect(Self.next("aaaaaaaaaaA") == .chained(through: 111))
        #expect(Self.next("aaaaaaaaaaa") == .chained(through: 111))
        #expect(Self.next("aA", byteCount: 501) == .chained(through: 102))
        #expect(Self.next("aAbB", byteCount: 501) == .chained(through: 102))
        // Nothing more comes while it waits.
        #expect(Self.next("aaa", isFull: true) == .chained(through: 103))
        #expect(Self.next("aAbb", isFull: true) == .batch(through: 102))
    }

    @Test func whatWasBegunAsAChainIsEndedAsOne() {
        #expect(Self.next("aAbB", isInside: true) == .chained(through: 102))
        #expect(Self.next("aAbB", isInside: true, inFlight: .chained) == .chained(through: 102))
        #expect(Self.next("aaa", isInside: true) == .chained(through: 103))
        #expect(Self.next("aA", isInside: true, inFlight: .batch) == .wait)
    }
}
