import Testing
import WAL
import WireMessages

@testable import Capture

/// What the protocol does not allow, and what shows that the server's history is another one.
@Suite struct ProtocolViolationTests {
    private static let relation = WireMessage.relation(columns: [.init(name: "id", isKey: true), .init(name: "v")])
    private static let row = WireMessage.insert([.text("1"), .text("x")])
    private static let begin = WireMessage.begin(0x100)

    static let sequences: [[[UInt8]]] = [
        [relation, row], [begin, row], [begin, begin], [WireMessage.commit(0x100)], [begin, WireMessage.commit(0x101)],
        [begin, WireMessage.commit(0x100), WireMessage.commit(0x100)], [relation, WireMessage.truncate([16_400])],
        [begin, relation, WireMessage.truncate([16_400, 16_401])], [begin, relation, WireMessage.insert([.text("1")])],
        [begin, relation, WireMessage.insert([.text("1"), .text("x"), .null])],
        [begin, relation, WireMessage.update(key: [.text("1")], new: [.text("1"), .text("x")])],
        [begin, relation, WireMessage.update(old: [.text("1"), .null, .null], new: [.text("1"), .text("x")])],
        [begin, relation, WireMessage.delete(key: [.text("1")])], [begin, relation, WireMessage.delete(key: [])],
        [begin, relation, WireMessage.insert([.text("1"), .binary([1, 2])])],
        [begin, relation, WireMessage.update(old: [.binary([0x31]), .null], new: [.text("1"), .null])],
        [WireMessage.message([0x7B, 0x7D])], [begin, WireMessage.message([0x7B, 0x7D], isTransactional: false)],
        // Behind what has ended, by a transaction and by a message; an end before its own beginning.
        [begin, WireMessage.commit(0x100, endLSN: 0x128), WireMessage.begin(0x127)],
        [WireMessage.message([0x7B, 0x7D], prefix: "others", isTransactional: false, lsn: 0x101), begin],
        [begin, WireMessage.commit(0x100, endLSN: 0x128), WireMessage.message([0x7B], isTransactional: false, lsn: 0x127)],
        [begin, WireMessage.commit(0x100, endLSN: 0x100)],
        // Stream Abort inside a transaction.
        [begin, [UInt8(ascii: "A"), 0, 0, 2, 0xE0, 0, 0, 2, 0xE0]],
        // Stream Start, Begin Prepare: never asked for.
        [[UInt8(ascii: "S"), 0, 0, 0, 1, 1]],
        [[UInt8(ascii: "b")] + [UInt8](repeating: 1, count: 28) + [0x67, 0]],
    ]

    @Test(arguments: sequences.indices)
    func isAnErrorThatPublishesNothing(index: Int) throws {
        let outcome = try Outcome(of: Self.sequences[index])
        guard case .protocolViolation(let what, _)? = outcome.error else {
            Issue.record("sequence \(index) gave \(String(describing: outcome.error))")
            return
        }
        #expect(!what.isEmpty && outcome.events.isEmpty)
    }

    /// PostgreSQL 18 sends one for a transaction that it found rolled back while it decoded it.
    @Test func aStreamAbortBetweenTransactionsMeansNothing() throws {
        let abort: [UInt8] = [UInt8(ascii: "A"), 0, 0, 2, 0xE0, 0, 0, 2, 0xE1]
        let outcome = try Outcome(of: [abort] + Self.transaction(0x100) + [abort] + Self.transaction(0x200, xid: 736))
        #expect(outcome.error == nil && outcome.events.count == 6)
    }

    /// The next transaction may commit exactly where the one before it, or a message, has ended.
    @Test func commitsBackToBackAreInOrder() throws {
        let body = Array(#"{"entity_type":"O","operation":"P","entity_id":1}"#.utf8)
        let message = WireMessage.message(body, isTransactional: false, lsn: 0x128)
        let outcome = try Outcome(of: Self.transaction(0x100, rowCount: 1) + [message] + Self.transaction(0x128, rowCount: 1))
        #expect(outcome.error == nil && outcome.events.count == 3)
    }

    @Test func namesTheTransactionItHappenedIn() throws {
        let error = try #require(try Outcome(of: [Self.begin, Self.row]).error)
        #expect(
            error.description
                == "a change of relation 16400, which was never described (in the transaction that commits at 0/100)")
    }

    private static let stored = Position(commitLSN: LSN(0x100), ordinal: 2)
    private static let proof = HistoryProof.transaction(stored, TransactionID(735), commitTimestamp: nil)

    private static func transaction(_ commitLSN: UInt64, xid: UInt32 = 735, rowCount: Int = 3) -> [[UInt8]] {
        [WireMessage.begin(commitLSN, xid: xid), relation] + Array(repeating: row, count: rowCount)
            + [WireMessage.commit(commitLSN)]
    }

    private static func outcome(_ messages: [[UInt8]]) throws -> Outcome {
        try Outcome(of: messages, watermark: stored, proof: proof)
    }

    @Test func goesOnInTheTransactionThatWasExpected() throws {
        let outcome = try Self.outcome(Self.transaction(0x100) + Self.transaction(0x200, xid: 736))
        #expect(outcome.error == nil)
        #expect(outcome.events.map(\.header.position.ordinal) == [3, 1, 2, 3])
    }

    @Test(arguments: [(UInt64(0x100), UInt32(734)), (0x101, 735), (0x200, 736)])
    func refusesAnotherTransactionFirst(commitLSN: UInt64, xid: UInt32) throws {
        let outcome = try Self.outcome(Self.transaction(commitLSN, xid: xid))
        #expect(outcome.events.isEmpty)
        #expect(
            outcome.error
                == .historyDiverged(Self.proof, found: .transaction(LSN(commitLSN), TransactionID(xid))))
    }

    /// Asked to begin earlier, for what is to be learnt of what is stored, the server sends more before it: of that nothing goes out.
    @Test func passesOverWhatComesBeforeTheTransactionThatWasExpected() throws {
        let outcome = try Self.outcome(Self.transaction(0xA0, xid: 734) + Self.transaction(0x100))
        #expect(outcome.error == nil && outcome.events.map(\.header.position.ordinal) == [3])
        let without = try Self.outcome(Self.transaction(0xA0, xid: 734) + Self.transaction(0x200, xid: 736))
        #expect(without.error == .historyDiverged(Self.proof, found: .transaction(LSN(0x200), TransactionID(736))))
    }

    @Test func refusesAMessageFromBeyondTheTransactionThatWasExpected() throws {
        let body = Array(#"{"entity_type":"O","operation":"P","entity_id":1}"#.utf8)
        let before = WireMessage.message(body, isTransactional: false, lsn: 0x100)
        #expect(try Self.outcome([before] + Self.transaction(0x100)).events.map(\.header.position.ordinal) == [3])
        let beyond = try Self.outcome([WireMessage.message(body, isTransactional: false, lsn: 0x101)])
        #expect(beyond.error == .historyDiverged(Self.proof, found: .message(LSN(0x101))))
    }

    @Test func refusesATransactionThatShrank() throws {
        #expect(try Self.outcome(Self.transaction(0x100, rowCount: 2)).error == nil)
        #expect(
            try Self.outcome(Self.transaction(0x100, rowCount: 1)).error
                == .transactionShrank(stored: Self.stored, changeCount: 1))
    }
}
