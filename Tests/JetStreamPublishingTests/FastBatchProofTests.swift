import Testing

@testable import JetStreamPublishing

@Suite("What the answers to a fast batch prove")
struct FastBatchProofTests {
    private let mailbox = AckMailbox(stream: "events") {}

    init() { mailbox.beginEpoch(3) }

    private func receive(_ ordinal: UInt64, _ text: String, base: UInt64 = 100, epoch: UInt32 = 3) {
        let reply = FastBatchReply(epoch: epoch, base: base, ordinal: ordinal, operation: 1)
        Array(text.utf8).withUnsafeBufferPointer { mailbox.receive(reply, body: $0) }
    }

    private func drained() -> AckBatch {
        var batch = AckBatch()
        mailbox.drain(into: &batch)
        return batch
    }

    private func last(_ sequence: UInt64, _ count: UInt64) -> String {
        #"{"stream":"events","seq":\#(sequence),"batch":"b","count":\#(count)}"#
    }

    @Test func anAckProvesWhatIsBeforeItAndTheLastWordTheRest() {
        receive(1, #"{"type":"ack","seq":0,"msgs":200}"#)
        receive(200, #"{"type":"ack","seq":200,"msgs":200}"#)
        receive(400, #"{"type":"ack","seq":400,"msgs":200}"#)
        var batch = drained()
        #expect(batch.outcomes == [.fastBatchStarted(base: 100, ackInterval: 200)])
        #expect(batch.stored == [StoredRange(first: 101, last: 499)])
        receive(400, #"{"type":"ack","seq":200,"msgs":200}"#)
        #expect(drained().isEmpty)
        receive(410, last(510, 410))
        batch = drained()
        #expect(batch.stored == [StoredRange(first: 500, last: 510)])
        #expect(batch.outcomes == [.fastBatchEnded(token: 510)])
        receive(410, last(511, 411))
        #expect(drained().isEmpty)
    }

    @Test func theLastWordIsBelievedOnlyWhereItsSequenceIsTheOneThatItsCountLeadsTo() {
        receive(2, last(101, 2))
        #expect(drained().outcomes == [.otherSequence(token: 102, sequence: 101)])
        receive(2, #"{"stream":"other","seq":202,"batch":"b","count":2}"#, base: 200)
        #expect(drained().outcomes == [.otherStream(token: 202)])
        receive(1, #"{"stream":"events","seq":7,"duplicate": true,"batch":"b","count":1}"#, base: 300)
        #expect(drained().outcomes == [.duplicate(token: 301, sequence: 7)])
        receive(1, "nonsense", base: 400)
        receive(1, #"{"type":"ack"}"#, base: 400)
        receive(1, #"{"type":"more","seq":1}"#, base: 400)
        let batch = drained()
        #expect(batch.outcomes == Array(repeating: .malformed(token: 401), count: 3) && batch.stored.isEmpty)
    }

    /// Whoever hears the reply subject can answer.
    @Test(arguments: [
        #"{"type":"ack","seq":18446744073709551615,"msgs":200}"#, #"{"type":"ack","seq":9223372036854775809,"msgs":200}"#,
        #"{"stream":"events","seq":98,"batch":"b","count":18446744073709551614}"#,
    ])
    func aCountThatNoBatchHasProvesNothing(_ answer: String) {
        receive(1, #"{"type":"ack","seq":0,"msgs":200}"#)
        receive(200, answer)
        let batch = drained()
        #expect(batch.stored.isEmpty && batch.outcomes.count == 2)
        guard case .malformed? = batch.outcomes.last else {
            Issue.record("\(batch.outcomes)")
            return
        }
    }

    @Test func behindARefusalNothingIsBelieved() {
        receive(1, #"{"type":"ack","seq":0,"msgs":10}"#)
        receive(7, #"{"type":"err","seq":7,"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 107"}}"#)
        // As a replicated server that refused it only when it was applied would count on.
        receive(20, #"{"type":"ack","seq":20,"msgs":10}"#)
        receive(20, last(120, 20))
        let batch = drained()
        #expect(batch.stored == [StoredRange(first: 101, last: 106)])
        #expect(
            batch.outcomes == [
                .fastBatchStarted(base: 100, ackInterval: 10),
                .refused(token: 107, errCode: 10_071, code: 400, lastSequence: 107),
                .otherSequence(token: 120, sequence: 120),
            ])
    }

    @Test func aBatchThatEndedEarlyIsStoredUpToThere() {
        receive(9, #"{"type":"gap","last_seq":6,"seq":9}"#)
        receive(9, last(105, 5))
        let batch = drained()
        #expect(batch.stored == [StoredRange(first: 101, last: 105)])
        #expect(
            batch.outcomes == [
                .refused(token: 106, errCode: 0, code: 0, lastSequence: nil), .fastBatchEnded(token: 105),
            ])
        receive(10, #"{"error":{"code":400,"err_code":10208,"description":"batch publish ID unknown"},"stream":"events","seq":0}"#)
        #expect(drained().outcomes == [.refused(token: 110, errCode: 10_208, code: 400, lastSequence: nil)])
    }

    @Test func whatBelongsToAnotherEpochOrAnEarlierBatchIsStale() {
        receive(1, #"{"type":"ack","seq":0,"msgs":10}"#, base: 200)
        receive(11, #"{"type":"ack","seq":11,"msgs":10}"#)
        receive(11, #"{"type":"ack","seq":11,"msgs":10}"#, base: 300, epoch: 2)
        let batch = drained()
        #expect(batch.staleAckCount == 2 && batch.stored.isEmpty && batch.outcomes.count == 1)
    }

    @Test func replySubjectsAreReadBackAndNothingElseIs() {
        let memory = UnsafeMutablePointer<CChar>.allocate(capacity: FastBatchReply.byteCountLimit)
        defer { memory.deallocate() }
        for (epoch, base, ordinal) in [(UInt32(0), UInt64(0), UInt64(1)), (.max, .max, .max), (7, 1_234, 56_789)] {
            let reply = FastBatchReply(epoch: epoch, base: base, ordinal: ordinal, operation: 3)
            let count = reply.write(to: memory)
            #expect(count <= FastBatchReply.byteCountLimit)
            let tail = (0..<count).map { String(UnicodeScalar(UInt8(bitPattern: memory[$0]))) }.joined()
            Array("_INBOX.x.\(tail)".utf8).withUnsafeBufferPointer { subject in
                #expect(FastBatchReply(subject: subject) == reply)
                #expect(AckReply(subject: subject) == nil && PendingReplies.number(subject: subject) == nil)
                for end in 0..<subject.count {
                    #expect(FastBatchReply(subject: UnsafeBufferPointer(rebasing: subject[..<end])) == nil)
                }
            }
        }
        let name = String(repeating: "0", count: 24)
        for text in [
            "", ".$FI", "....$FI", "\(name).200.fail.1.1.$FI", "x.\(name).200.ok.1.1.$FI", "x.\(name).200.fail.a.1.$FI",
            "x.\(name).200.fail.1.9.$FI", "x.0\(name).200.fail.1.1.$FI",
        ] {
            Array(text.utf8).withUnsafeBufferPointer { #expect(FastBatchReply(subject: $0) == nil, "\(text)") }
        }
    }
}
