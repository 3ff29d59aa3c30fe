import Testing
import WAL
import WireMessages

@testable import Capture

/// What has to come first after a restart, and what shows that the server's history is another one.
@Suite struct HistoryProofTests {
    private static let lsn = LSN(0x100)
    private static let transaction = HistoryProof.transaction(
        Position(commitLSN: lsn, ordinal: 2), TransactionID(735), commitTimestamp: nil)
    private static let message = HistoryProof.message(lsn)
    private static let marker = HistoryProof.nothingBefore(lsn)

    /// What the server does: sends a transaction or a message at an LSN, or tells how far it has decoded.
    enum Step {
        case transaction(UInt64, xid: UInt32)
        case message(UInt64)
        case decoded(UInt64)
    }

    /// Whether it is proven after these steps.
    private static func isProven(_ proof: HistoryProof, _ steps: [Step]) throws -> Bool {
        var rig = try Rig(watermark: Position(commitLSN: lsn, ordinal: 0), proof: proof)
        for step in steps {
            switch step {
            case .transaction(let lsn, let xid): try rig.receive([WireMessage.begin(lsn, xid: xid), WireMessage.commit(lsn)])
            case .message(let lsn): try rig.receive(WireMessage.message([], isTransactional: false, lsn: lsn))
            case .decoded(let lsn): try rig.assembler.decoded(upTo: LSN(lsn))
            }
        }
        return rig.assembler.isHistoryProven
    }

    @Test func theTransactionItselfProvesIt() throws {
        #expect(try !Self.isProven(Self.transaction, []))
        #expect(try Self.isProven(Self.transaction, [.decoded(0x100), .message(0x90), .transaction(0x100, xid: 735)]))
        #expect(try !Self.isProven(Self.transaction, [.decoded(0x100), .message(0x100)]))
    }

    @Test func whatIsDecodedWithoutTheTransactionDisprovesIt() {
        #expect(throws: CaptureError.historyDiverged(Self.transaction, found: .nothing(upTo: LSN(0x101)))) {
            try Self.isProven(Self.transaction, [.decoded(0x100), .decoded(0x101)])
        }
    }

    @Test func theMessageItselfProvesItBehindWhatIsBefore() throws {
        let before: [Step] = [.transaction(0x80, xid: 1), .message(0xB0), .decoded(0xFF)]
        #expect(try !Self.isProven(Self.message, before))
        #expect(try Self.isProven(Self.message, before + [.message(0x100), .transaction(0x100, xid: 2), .decoded(0x200)]))
    }

    @Test func whatComesWithoutTheMessageDisprovesIt() {
        // A transaction that commits where the message's record ends stands behind it.
        #expect(throws: CaptureError.historyDiverged(Self.message, found: .transaction(Self.lsn, TransactionID(2)))) {
            try Self.isProven(Self.message, [.transaction(0x100, xid: 2)])
        }
        #expect(throws: CaptureError.historyDiverged(Self.message, found: .message(LSN(0x101)))) {
            try Self.isProven(Self.message, [.message(0x101)])
        }
        #expect(throws: CaptureError.historyDiverged(Self.message, found: .nothing(upTo: Self.lsn))) {
            try Self.isProven(Self.message, [.decoded(0x100)])
        }
    }

    @Test func behindAGapMarkerWhateverIsNotBeforeItProvesIt() throws {
        #expect(try !Self.isProven(Self.marker, [.decoded(0xFF)]))
        for step: Step in [.transaction(0x100, xid: 2), .message(0x100), .decoded(0x100)] {
            #expect(try Self.isProven(Self.marker, [step]))
        }
    }

    @Test func behindAGapMarkerWhatIsBeforeItDisprovesIt() {
        #expect(throws: CaptureError.historyDiverged(Self.marker, found: .transaction(LSN(0xFF), TransactionID(2)))) {
            try Self.isProven(Self.marker, [.transaction(0xFF, xid: 2)])
        }
        #expect(throws: CaptureError.historyDiverged(Self.marker, found: .message(LSN(0xFF)))) {
            try Self.isProven(Self.marker, [.message(0xFF)])
        }
    }

    @Test func everyTextSaysWhatWasExpectedAndWhatCame() {
        let text = "\(CaptureError.historyDiverged(Self.message, found: .nothing(upTo: LSN(0x200))))"
        #expect(text == "the stream ends with a message outside transactions at 0/100, but the server has no such change up to 0/200")
    }
}
