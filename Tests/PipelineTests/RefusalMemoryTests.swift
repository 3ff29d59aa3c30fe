import JetStreamPublishing
import Testing

@testable import Pipeline

@Suite struct RefusalMemoryTests {
    private func refused(_ errCode: Int) -> PublishOutcome {
        .refused(token: 5, errCode: errCode, code: 400, lastSequence: nil)
    }

    private func expectStepDown(of memory: inout RefusalMemory, replicaCount: Int, _ expected: Bool) {
        let isAsked = memory.takeStepDown(replicaCount: replicaCount)
        #expect(isAsked == expected)
    }

    @Test func onlyWhatIsNoAckCounts() {
        var memory = RefusalMemory()
        let outcomes: [PublishOutcome] = [
            refused(JetStreamErrorCode.wrongLastSequence), .duplicate(token: 5, sequence: 5),
            .otherSequence(token: 5, sequence: 6), .otherStream(token: 5), .noResponders(token: 5), .malformed(token: 5),
        ]
        for outcome in outcomes { memory.answered(outcome) }
        #expect(memory.count == outcomes.count)
        memory.answered(.fastBatchStarted(base: 4, ackInterval: 10))
        memory.answered(.fastBatchEnded(token: 5))
        #expect(memory.count == outcomes.count)
        memory.drained(nil, droppedCount: 3)
        #expect(memory.count == outcomes.count + 3)
        memory.epochBegan()
        #expect(memory.count == 0)
    }

    @Test func aStagedIDAsksForANewLeaderAsOftenAsThereAreReplicas() {
        var memory = RefusalMemory()
        memory.answered(.duplicate(token: 5, sequence: 5))
        #expect(!memory.isIDStaged)
        for _ in 0..<3 {
            memory.answered(.duplicate(token: 5, sequence: 0))
            expectStepDown(of: &memory, replicaCount: 3, true)
            expectStepDown(of: &memory, replicaCount: 3, false)
        }
        memory.answered(refused(JetStreamErrorCode.duplicateInProcess))
        expectStepDown(of: &memory, replicaCount: 3, false)
        memory.stored()
        memory.answered(refused(JetStreamErrorCode.batchDuplicate))
        expectStepDown(of: &memory, replicaCount: 1, false)
        expectStepDown(of: &memory, replicaCount: 3, true)
    }

    @Test func anIDThatWasRefusedThoughNobodyElseWroteIsExpectedNoMore() {
        var memory = RefusalMemory()
        memory.answered(refused(JetStreamErrorCode.wrongLastMessageID))
        memory.wasRead(hasStrays: true)
        #expect(!memory.isMessageIDDistrusted)
        memory.wasRead(hasStrays: false)
        #expect(!memory.isMessageIDDistrusted)
        memory.answered(refused(JetStreamErrorCode.wrongLastMessageID))
        memory.wasRead(hasStrays: false)
        #expect(memory.isMessageIDDistrusted)
    }
}
