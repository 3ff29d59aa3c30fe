import History
import JetStreamPublishing
import Testing

@Suite("Refusals")
struct RefusalCauseTests {
    @Test func whatTheChainIsRefusedForPasses() {
        for errCode in [
            0, JetStreamErrorCode.wrongLastSequence, JetStreamErrorCode.wrongLastSequenceInFlight,
            JetStreamErrorCode.duplicateInProcess, JetStreamErrorCode.tooManyRequests,
        ] { #expect(RefusalCause.of(errCode) == .passing) }
    }

    @Test func aMessageThatIsTooLargeIsItsOwnFault() {
        #expect(RefusalCause.of(JetStreamErrorCode.messageTooLarge) == .tooLarge)
    }

    @Test(arguments: [
        JetStreamErrorCode.storeFailed, JetStreamErrorCode.accountResourcesExceeded,
        JetStreamErrorCode.insufficientResources, JetStreamErrorCode.streamSealed, 19_999,
    ]) func whatNobodyMendsByTryingIsTold(_ errCode: Int) {
        guard case .waiting(_, let hint) = RefusalCause.of(errCode) else {
            Issue.record("\(errCode)")
            return
        }
        #expect(!hint.isEmpty)
    }
}
