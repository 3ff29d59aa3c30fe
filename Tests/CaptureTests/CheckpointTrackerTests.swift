import SeededRandom
import Testing
import WAL

@testable import Capture

@Suite struct CheckpointTrackerTests {
    @Test func confirmsExactlyTheEndOfTheLastWhollyStoredTransaction() {
        var tracker = CheckpointTracker(confirmedLSN: LSN(50))
        tracker.transactionBegan()
        tracker.appended(count: 2)
        tracker.transactionEnded(endLSN: LSN(100), appendedCount: 3)
        tracker.transactionBegan()
        tracker.transactionEnded(endLSN: LSN(200), appendedCount: 4)
        #expect(tracker.confirmableLSN == LSN(50))
        tracker.stored(count: 2)
        #expect(tracker.confirmableLSN == LSN(50))
        tracker.stored(count: 3)
        #expect(tracker.confirmableLSN == LSN(100))
        tracker.stored(count: 4)
        #expect(tracker.confirmableLSN == LSN(200))
    }

    @Test func followsAKeepaliveOnlyWhenAllThatWasSentBeforeItIsStored() {
        var tracker = CheckpointTracker(confirmedLSN: LSN(50))
        tracker.keepalive(walEnd: LSN(60))
        #expect(tracker.confirmableLSN == LSN(60))
        tracker.transactionBegan()
        tracker.keepalive(walEnd: LSN(70))
        #expect(tracker.confirmableLSN == LSN(60))
        tracker.transactionEnded(endLSN: LSN(80), appendedCount: 1)
        tracker.keepalive(walEnd: LSN(90))
        #expect(tracker.confirmableLSN == LSN(60))
        // The server does not say it again: it is remembered. What stood inside the transaction is not.
        tracker.stored(count: 1)
        #expect(tracker.confirmableLSN == LSN(90))
        tracker.keepalive(walEnd: LSN(95))
        #expect(tracker.confirmableLSN == LSN(95))
    }

    @Test func keepsAKeepaliveBackUntilANonTransactionalMessageIsStored() {
        var tracker = CheckpointTracker(confirmedLSN: LSN(50))
        tracker.appended(count: 1)
        tracker.keepalive(walEnd: LSN(100))
        #expect(tracker.confirmableLSN == LSN(50))
        tracker.appended(count: 2)
        tracker.stored(count: 1)
        #expect(tracker.confirmableLSN == LSN(100))
        tracker.keepalive(walEnd: LSN(200))
        #expect(tracker.confirmableLSN == LSN(100))
        tracker.stored(count: 2)
        #expect(tracker.confirmableLSN == LSN(200))
    }

    @Test func confirmsATransactionWithoutEventsOnceThoseBeforeItAreStored() {
        var tracker = CheckpointTracker(confirmedLSN: LSN(50))
        tracker.transactionBegan()
        tracker.transactionEnded(endLSN: LSN(100), appendedCount: 0)
        #expect(tracker.confirmableLSN == LSN(100))
        tracker.transactionBegan()
        tracker.transactionEnded(endLSN: LSN(200), appendedCount: 1)
        tracker.transactionBegan()
        tracker.transactionEnded(endLSN: LSN(300), appendedCount: 1)
        #expect(tracker.confirmableLSN == LSN(100))
        tracker.stored(count: 1)
        #expect(tracker.confirmableLSN == LSN(300))
    }

    @Test func neverMovesBack() {
        var tracker = CheckpointTracker(confirmedLSN: LSN(1000))
        tracker.keepalive(walEnd: LSN(500))
        tracker.transactionBegan()
        tracker.transactionEnded(endLSN: LSN(900), appendedCount: 1)
        tracker.stored(count: 1)
        tracker.stored(count: 0)
        #expect(tracker.confirmableLSN == LSN(1000))
    }

    /// Holds everything and works out the answer anew each time.
    private struct Model {
        var transactions: [(endLSN: UInt64, lastEvent: Int)] = []
        var isOpen = false
        var appended = 0
        var stored = 0
        var confirmable: UInt64 = 0

        mutating func settle() {
            for transaction in transactions where transaction.lastEvent <= stored {
                confirmable = max(confirmable, transaction.endLSN)
            }
        }
    }

    @Test(arguments: UInt64(0)..<40)
    func agreesWithANaiveModel(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var model = Model()
        var tracker = CheckpointTracker(confirmedLSN: .invalid)
        var lsn: UInt64 = 1
        for step in 0..<6000 {
            lsn += UInt64.random(in: 0...9, using: &random)
            switch Int.random(in: 0..<8, using: &random) {
            case 0, 1:
                if model.isOpen {
                    // The event that waited for its `last`, if there is one.
                    model.appended += Int.random(in: 0...1, using: &random)
                    model.transactions.append((lsn, model.appended))
                    model.isOpen = false
                    tracker.transactionEnded(endLSN: LSN(lsn), appendedCount: UInt64(model.appended))
                } else {
                    model.isOpen = true
                    tracker.transactionBegan()
                }
            case 2, 3:
                // Inside a transaction a row's predecessor, outside a non-transactional message.
                model.appended += 1
                tracker.appended(count: UInt64(model.appended))
            case 4:
                if !model.isOpen { model.transactions.append((endLSN: lsn, lastEvent: model.appended)) }
                tracker.keepalive(walEnd: LSN(lsn))
            default:
                // Slower than what is appended for most seeds, so that marks pile up beyond the compaction's threshold.
                let limit = seed % 4 == 0 ? 1 : 3
                model.stored = min(model.appended, model.stored + Int.random(in: 0...limit, using: &random))
                if step % 1500 == 1499 { model.stored = model.appended }
                tracker.stored(count: UInt64(model.stored))
            }
            model.settle()
            #expect(tracker.confirmableLSN == LSN(model.confirmable), "seed \(seed) step \(step)")
            #expect(tracker.isPending == (model.isOpen || model.stored < model.appended), "seed \(seed) step \(step)")
            if tracker.confirmableLSN != LSN(model.confirmable) { return }
        }
    }
}
