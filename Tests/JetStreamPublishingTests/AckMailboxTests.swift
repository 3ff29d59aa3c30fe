import Synchronization
import Testing

@testable import JetStreamPublishing

@Suite("Ack mailbox")
struct AckMailboxTests {
    private let wakeCount = Counter()
    private let mailbox: AckMailbox

    init() {
        let wakeCount = self.wakeCount
        mailbox = AckMailbox(stream: "events", controlStream: "KV_state") { wakeCount.add() }
        mailbox.beginEpoch(3)
    }

    private func receive(_ token: UInt64, epoch: UInt32 = 3, _ text: String) {
        let bytes = Array(text.utf8)
        bytes.withUnsafeBufferPointer { mailbox.receive(AckReply(epoch: epoch, token: token), body: $0) }
    }

    private func stored(_ token: UInt64, epoch: UInt32 = 3) {
        receive(token, epoch: epoch, #"{"stream":"events","seq":\#(token)}"#)
    }

    private func drained() -> AckBatch {
        var batch = AckBatch()
        mailbox.drain(into: &batch)
        return batch
    }

    @Test func mergesConsecutiveAcksIntoOneRange() {
        for token in UInt64(1)...5_000 { stored(token) }
        #expect(drained().stored == [StoredRange(first: 1, last: 5_000)])
        #expect(drained().isEmpty)
    }

    @Test func keepsWhatDoesNotTouchApart() {
        for token in [UInt64(1), 2, 4, 5, 3] { stored(token) }
        let ranges = [(1, 2), (4, 5), (3, 3)].map { StoredRange(first: UInt64($0.0), last: UInt64($0.1)) }
        #expect(drained().stored == ranges)
    }

    @Test func anythingButTheExpectedSequenceIsNoProof() {
        receive(1, #"{"stream":"events","seq":2}"#)
        receive(2, #"{"stream":"events","seq":2,"duplicate":true}"#)
        receive(3, #"{"stream":"events","seq":0,"duplicate":true}"#)
        receive(4, #"{"stream":"other","seq":4}"#)
        receive(5, #"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 2"}}"#)
        receive(6, "nonsense")
        receive(7, #"{"stream":"events","seq":7,"count":9}"#)
        receive(8, #"{"stream":"events","seq":8,"count":0}"#)
        mailbox.post(AckReply(epoch: 3, token: 9), .noResponders(token: 9))
        let batch = drained()
        #expect(batch.stored.isEmpty)
        #expect(
            batch.outcomes == [
                .otherSequence(token: 1, sequence: 2), .duplicate(token: 2, sequence: 2),
                .duplicate(token: 3, sequence: 0), .otherStream(token: 4),
                .refused(token: 5, errCode: 10_071, code: 400, lastSequence: 2), .malformed(token: 6),
                .malformed(token: 7), .malformed(token: 8), .noResponders(token: 9),
            ])
    }

    @Test func aRefusalIsToldInJetStreamsOwnWordsUnlessItFollowsFromAnother() {
        receive(1, #"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 2"}}"#)
        #expect(drained().refusal == nil)
        receive(2, #"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}"#)
        receive(3, #"{"error":{"code":400,"err_code":10054,"description":"\#(String(repeating: "x", count: 900))"}}"#)
        #expect(drained().refusal == AckBatch.Refusal(errCode: 10_077, text: "maximum bytes exceeded"))
        receive(3, #"{"error":{"code":400,"err_code":10054,"description":"\#(String(repeating: "x", count: 900))"}}"#)
        #expect(drained().refusal?.text.count == 300)
        receive(4, epoch: 2, #"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}"#)
        receive(AckMailbox.controlBit, #"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}"#)
        #expect(drained().refusal == nil)
    }

    @Test func theAckOfABatchStandsForAllItsMessages() {
        stored(1)
        receive(6, #"{"stream":"events","seq":6,"batch":"b","count":5}"#)
        #expect(drained().stored == [StoredRange(first: 1, last: 6)])
    }

    @Test func acksOfAnotherEpochAreDroppedAndCounted() {
        stored(1, epoch: 2)
        stored(2)
        mailbox.beginEpoch(4)
        stored(3)
        stored(4, epoch: 4)
        let batch = drained()
        #expect(batch.stored == [StoredRange(first: 4, last: 4)])
        #expect(batch.staleAckCount == 3)
    }

    @Test func whatWasOpenWhenTheEpochEndedIsNotExtended() {
        stored(1)
        stored(2)
        mailbox.beginEpoch(4)
        stored(3)
        stored(3, epoch: 4)
        stored(4)
        stored(4, epoch: 4)
        let batch = drained()
        #expect(batch.stored == [StoredRange(first: 3, last: 4)])
        // Of epoch 3: the range, and two acks.
        #expect(batch.staleAckCount == 3)
    }

    /// One fills, one drains, as libnats' thread and ours do: everything arrives once, in order, each time after one wake.
    @Test func drainingWhileAcksComeLosesNone() async {
        let last: UInt64 = 200_000
        let mailbox = self.mailbox
        let filling = Task.detached {
            for token in UInt64(1)...last {
                let bytes = Array(#"{"stream":"events","seq":\#(token)}"#.utf8)
                bytes.withUnsafeBufferPointer { mailbox.receive(AckReply(epoch: 3, token: token), body: $0) }
                if token % 1_000 == 0 { await Task.yield() }
            }
        }
        var next: UInt64 = 1
        var drainCount = 0
        var batch = AckBatch()
        let deadline = ContinuousClock.now + .seconds(60)
        while next <= last, ContinuousClock.now < deadline {
            mailbox.drain(into: &batch)
            drainCount += batch.isEmpty ? 0 : 1
            for range in batch.stored {
                #expect(range.first == next)
                next = range.last + 1
            }
            await Task.yield()
        }
        await filling.value
        #expect(next == last + 1)
        #expect(drained().isEmpty)
        #expect(drainCount == wakeCount.value)
    }

    @Test func controlPublishesAreDeliveredOneByOneInAnyEpoch() {
        let token = AckMailbox.controlBit | 9
        receive(token, epoch: 0, #"{"stream":"KV_state","seq":41}"#)
        mailbox.beginEpoch(8)
        receive(token, epoch: 0, #"{"stream":"KV_other","seq":42}"#)
        receive(token, epoch: 0, #"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 41"}}"#)
        #expect(
            drained().outcomes == [
                .controlStored(token: token, sequence: 41), .otherStream(token: token),
                .refused(token: token, errCode: 10_071, code: 400, lastSequence: 41),
            ])
    }

    @Test func aFloodOfRefusalsIsBoundedAndHidesNoControlOutcome() {
        for token in UInt64(1)...5_000 { receive(token, "nonsense") }
        receive(AckMailbox.controlBit | 1, #"{"stream":"KV_state","seq":41}"#)
        let batch = drained()
        #expect(batch.outcomes.count == AckMailbox.outcomeLimit + 1)
        #expect(batch.outcomes.last == .controlStored(token: AckMailbox.controlBit | 1, sequence: 41))
        #expect(batch.droppedCount == 5_000 - AckMailbox.outcomeLimit)
    }

    @Test func storedRangesAreBounded() {
        for token in stride(from: UInt64(2), through: 6_000, by: 2) { stored(token) }
        let batch = drained()
        #expect(batch.stored.count == AckMailbox.outcomeLimit)
        #expect(batch.droppedCount == 3_000 - AckMailbox.outcomeLimit)
    }

    @Test func wakesOnceBetweenTwoDrains() {
        for token in UInt64(1)...100 { stored(token) }
        receive(101, "nonsense")
        #expect(wakeCount.value == 1)
        _ = drained()
        #expect(wakeCount.value == 1)
        receive(102, "nonsense")
        #expect(wakeCount.value == 2)
    }

    @Test func extremeTokensAndSequencesDoNotTrap() {
        for token in [UInt64(0), 1, UInt64.max >> 1, .max] {
            stored(token)
            receive(token, #"{"stream":"events","seq":\#(token),"count":18446744073709551615}"#)
        }
        _ = drained()
    }

    @Test func replySubjectsAreReadBackAndNothingElseIs() {
        let memory = UnsafeMutablePointer<CChar>.allocate(capacity: 64)
        defer { memory.deallocate() }
        for (epoch, token) in [(UInt32(0), UInt64(0)), (1, 2), (.max, .max), (0xDEAD_BEEF, 1 << 63)] {
            AckReply(epoch: epoch, token: token).write(to: memory)
            let text = "_INBOX.x." + (0..<24).map { String(UnicodeScalar(UInt8(bitPattern: memory[$0]))) }.joined()
            Array(text.utf8).withUnsafeBufferPointer {
                #expect(AckReply(subject: $0) == AckReply(epoch: epoch, token: token))
            }
        }
        for text in [
            "", ".", "_INBOX.x.y", String(repeating: "0", count: 24), "a" + String(repeating: "0", count: 24),
            "a." + String(repeating: "G", count: 24), "a." + String(repeating: "0", count: 23),
        ] {
            Array(text.utf8).withUnsafeBufferPointer {
                #expect(AckReply(subject: $0) == nil)
                #expect(PendingReplies.number(subject: $0) == nil)
            }
        }
    }
}

/// Counts, from any thread.
final class Counter: Sendable {
    private let count = Atomic(0)

    var value: Int { count.load(ordering: .relaxed) }

    func add() { count.add(1, ordering: .relaxed) }
}
