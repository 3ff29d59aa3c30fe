import SeededRandom
import Testing
import WAL

@testable import Capture

@Suite struct MessageIDTests {
    @Test func writesWhatTheContractShows() {
        let id = MessageID(
            systemID: 7_439_120_938_471_029_384, databaseOID: 5, timeline: 1, transactionID: TransactionID(735),
            position: Position(commitLSN: LSN(0x16B_3748), ordinal: 1))
        #expect(id.description == "7439120938471029384.5.1.735.00000000016B3748.1")
    }

    @Test func readsWhatItWrites() throws {
        var random = SplitMix64(seed: 1)
        let edges: [UInt64] = [0, 1, 9, 10, 0xFFFF_FFFF, 0x1_0000_0000, .max - 1, .max]
        for round in 0..<2000 {
            func number() -> UInt64 {
                Bool.random(using: &random)
                    ? edges.randomElement(using: &random) ?? 0
                    : random.next() >> UInt64.random(in: 0..<64, using: &random)
            }
            let id = MessageID(
                systemID: number(), databaseOID: UInt32(truncatingIfNeeded: number()),
                timeline: UInt32(truncatingIfNeeded: number()),
                transactionID: TransactionID(UInt32(truncatingIfNeeded: number())),
                position: Position(commitLSN: LSN(number()), ordinal: number()))
            #expect(MessageID(id.description) == id, "round \(round)")
            var other = id
            other.kind = .marker
            #expect(MessageID(id.description + ".gap.0a1b") == other, "round \(round)")
            #expect(MessageID(id.marker(random: number())) == other && other.streamPosition == id.position, "round \(round)")
            other.kind = .late(timeline: 3, TransactionID(8), Position(commitLSN: LSN(number()), ordinal: number()))
            let original = try #require(other.lateOriginal)
            #expect(MessageID("\(id).late.\(original)") == other, "round \(round)")
            #expect(id.late(original) == "\(id).late.\(original)" && other.streamPosition == id.position, "round \(round)")
            let place = BackfillPlace(
                run: number(), count: number(), tableOID: UInt32(truncatingIfNeeded: number()), filenode: UInt32(truncatingIfNeeded: number()),
                block: UInt32(truncatingIfNeeded: number()), offset: UInt16(truncatingIfNeeded: number()))
            other.kind = .backfilled(place)
            #expect(MessageID(id.backfilled(place)) == other && BackfillPlace(place.description) == place, "round \(round)")
            #expect(other.streamPosition == id.position, "round \(round)")
            other.kind = .replayed
            #expect(MessageID("\(id).r.r7") == other && other.streamPosition == nil, "round \(round)")
        }
    }

    @Test(arguments: [
        "", ".", ".....", "1.5.1.735.00000000016B3748", "1.5.1.735.00000000016B3748.1.",
        ".1.5.1.735.00000000016B3748.1",
        "1.5.1.735.00000000016b3748.1", "1.5.1.735.0000000016B3748.1", "1.5.1.735.000000000016B3748.1",
        "1.5.1.735.+0000000016B3748.1", "1.5.1.735.00000000016B374G.1", "01.5.1.735.00000000016B3748.1",
        "+1.5.1.735.00000000016B3748.1", "-1.5.1.735.00000000016B3748.1", "1.5.1.735.00000000016B3748.01",
        "1.5.1.735.00000000016B3748. 1", "1.5.1.735.00000000016B3748.1\n", "1.5.1.4294967296.00000000016B3748.1",
        "18446744073709551616.5.1.735.00000000016B3748.1", "1.4294967296.1.735.00000000016B3748.1",
        "1.5.1.735.00000000016B3748.18446744073709551616", "1.5.1.٧.00000000016B3748.1", "1.5.1.735.００００００００016B3748.1",
        "1.5.1.735.00000000016B3748.1.gap", "1.5.1.735.00000000016B3748.1.gap.", "1.5.1.735.00000000016B3748.1.gap.a.b",
        "1.5.1.735.00000000016B3748.1.r.", "1.5.1.735.00000000016B3748.1.r.a.b", "1.5.1.735.00000000016B3748.1.b.1.2.3.4.5",
        "1.5.1.735.00000000016B3748.1.b.1.2.3.4.5.6.7", "1.5.1.735.00000000016B3748.1.b.1.2.3.4.5.x",
        "1.5.1.735.00000000016B3748.1.late.1.5.1.735.00000000016B3748",
        "1.5.1.735.00000000016B3748.1.late.2.5.1.735.00000000016B3748.1",
        "1.5.1.735.00000000016B3748.1.late.1.5.1.735.00000000016B3748.1.gap.a",
        "1.5.1.735.00000000016B3748.1.GAP.a", "hello",
    ])
    func refusesWhatIsNoIdOfOurs(text: String) {
        #expect(MessageID(text) == nil)
    }

    @Test func knowsWhoseChangesItNames() throws {
        let id = try #require(MessageID("7.5.1.735.00000000016B3748.1"))
        #expect(id.isOf(SourceIdentity(systemID: 7, databaseOID: 5, databaseName: "renamed since")))
        #expect(!id.isOf(SourceIdentity(systemID: 7, databaseOID: 6, databaseName: "shop")))
        #expect(!id.isOf(SourceIdentity(systemID: 8, databaseOID: 5, databaseName: "shop")))
    }

    @Test func sortsAMessageBeforeTheTransactionWhoseCommitHasItsLSN() {
        let message = Position(commitLSN: LSN(100), ordinal: 0)
        #expect(message < Position(commitLSN: LSN(100), ordinal: 1))
        #expect(Position(commitLSN: LSN(99), ordinal: 7) < message)
    }
}
