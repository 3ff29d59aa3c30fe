import JetStreamPublishing

/// Why JetStream refuses a message, by its code: what that comes to when it is refused again.
enum RefusalCause: Equatable {
    /// The chain's business, or it passes: the next attempt may succeed.
    case passing
    /// The message itself, whose size the stream does not take: a poison event.
    case tooLarge
    /// Until somebody makes room, or changes the stream, each attempt ends alike.
    case waiting(hint: String)

    /// What `errCode` stands for; 0: only a status came.
    static func of(_ errCode: Int) -> RefusalCause {
        switch errCode {
        case 0, JetStreamErrorCode.wrongLastMessageID, JetStreamErrorCode.wrongLastSequence,
            JetStreamErrorCode.wrongLastSequenceInFlight, JetStreamErrorCode.duplicateInProcess,
            JetStreamErrorCode.tooManyRequests, JetStreamErrorCode.batchesDisabled, JetStreamErrorCode.batchIncomplete,
            JetStreamErrorCode.batchTooLarge, JetStreamErrorCode.batchDuplicate, JetStreamErrorCode.fastBatchesDisabled,
            JetStreamErrorCode.fastBatchPatternInvalid, JetStreamErrorCode.fastBatchUnknown,
            JetStreamErrorCode.tooManyFastBatches:
            .passing
        case JetStreamErrorCode.messageTooLarge: .tooLarge
        case JetStreamErrorCode.storeFailed:
            .waiting(
                hint:
                    "the stream is full and discards what is new: raise its max_bytes, max_msgs or max_msgs_per_subject, let old messages go, or set discard to old")
        case JetStreamErrorCode.accountResourcesExceeded:
            .waiting(hint: "the account's JetStream storage is full: raise its limit")
        case JetStreamErrorCode.insufficientResources:
            .waiting(hint: "nats-server's JetStream storage is full: raise max_file_store, or make room on its disk")
        case JetStreamErrorCode.streamSealed: .waiting(hint: "the stream is sealed: it takes nothing any more")
        default: .waiting(hint: "see what nats-server's log says, and compare the stream with the configuration")
        }
    }
}
