/// Why a streamer stopped, or refused to start: a stable name for logs, `/status` and `--json`.
package enum StopReason: String, Sendable, CaseIterable {
    case slotMissing = "slot_missing"
    case slotAhead = "slot_ahead"
    case slotInvalidated = "slot_invalidated"
    case slotUnconfirmed = "slot_unconfirmed"
    case slotTwoPhase = "slot_two_phase"
    case historyDiverged = "history_diverged"
    case otherCluster = "other_cluster"
    case optionsChanged = "options_changed"
    case streamMissing = "stream_missing"
    case streamRecreated = "stream_recreated"
    case streamPurged = "stream_purged"
    case streamTailLost = "stream_tail_lost"
    case bucketMissing = "bucket_missing"
    case positionAheadOfWAL = "position_ahead_of_wal"
    case otherWriter = "other_writer"
    case foreignMessage = "foreign_message"
    case holeFound = "hole_found"
    case poisonEvent = "poison_event"
    case permissionPostgres = "permission_postgres"
    case permissionNATS = "permission_nats"
    case tls = "tls"
    case credentials = "credentials"
    case configuration = "configuration"
    /// No name of the contract: a bug of ours, or an error that nobody foresaw.
    case unexpected = "unexpected"
    /// A server cannot be reached; one-shot commands stop for it, `run` retries.
    case unreachable = "unreachable"
    /// Another streamer holds the slot; one-shot commands stop for it, `run` stands by.
    case slotActive = "slot_active"
    /// The publication was not there when something that the slot holds was written.
    case publicationLost = "publication_lost"
    /// The observer worker's durable consumer was deleted.
    case consumerMissing = "consumer_missing"

    package var exitCode: ExitStatus {
        switch self {
        case .slotMissing, .slotAhead, .slotInvalidated, .slotUnconfirmed, .historyDiverged, .otherCluster,
            .optionsChanged, .streamMissing, .streamRecreated, .streamPurged, .streamTailLost, .bucketMissing,
            .positionAheadOfWAL, .publicationLost, .consumerMissing:
            .lostHistory
        case .otherWriter, .foreignMessage, .holeFound: .otherWriter
        case .poisonEvent: .poisonEvent
        case .permissionPostgres, .permissionNATS: .notPermitted
        case .slotTwoPhase, .tls, .credentials, .configuration: .configuration
        case .unexpected: .unexpected
        case .unreachable: .unreachable
        case .slotActive: .slotActive
        }
    }
}

/// The exit codes of every command.
package enum ExitStatus: Int32, Sendable, CaseIterable {
    case done = 0
    case findings = 1
    case usage = 64
    case poisonEvent = 65
    case unreachable = 69
    case unexpected = 70
    case lostHistory = 73
    case slotActive = 75
    case otherWriter = 76
    case notPermitted = 77
    case configuration = 78
}
