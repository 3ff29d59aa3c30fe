import JetStreamPublishing

/// Why JetStream refuses a message, by its code: what that comes to when it is refused again.
package enum RefusalCause: Equatable {
    /// The chain's business, or it passes: the next attempt may succeed.
    case passing
    /// The message itself, whose size the stream does not take: a poison event.
    case tooLarge
    /// Until somebody makes room, or changes the stream, each attempt ends alike.
    case waiting(EventFailure, hint: String)

    /// What it is to the event; nil: it is the chain's business, and no failure of the event.
    package var failure: EventFailure? {
        switch self {
        case .passing: nil
        case .tooLarge: .messageTooLarge
        case .waiting(let failure, _): failure
        }
    }

    /// What `errCode` stands for; 0: only a status came.
    package static func of(_ errCode: Int) -> RefusalCause {
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
                .storageFull,
                hint:
                    "Raise max_bytes, max_msgs or max_msgs_per_subject of the stream, or set discard = old: the stream is full")
        case JetStreamErrorCode.accountResourcesExceeded:
            .waiting(.storageFull, hint: "Raise the JetStream storage limit of the account")
        case JetStreamErrorCode.insufficientResources:
            .waiting(.storageFull, hint: "Raise max_file_store of nats-server, or make room on the disk")
        case JetStreamErrorCode.streamSealed: .waiting(.refused, hint: "Begin a new stream: a sealed stream takes no messages")
        default: .waiting(.refused, hint: "Check nats-server's log, and compare the stream with the configuration")
        }
    }
}
