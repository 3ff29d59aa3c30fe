/// What can be done where slot and stream cannot be joined without a gap, a text for each reason.
enum LostHistory {
    /// Lost history that a streamer can go on after: what the slot sends from now on is of the history that the stream has, or the stream has none.
    static func isAcceptable(_ reason: StopReason) -> Bool {
        switch reason {
        case .slotMissing, .slotAhead, .slotInvalidated, .slotUnconfirmed, .streamMissing, .streamRecreated,
            .streamPurged, .streamTailLost, .bucketMissing, .publicationLost:
            true
        case .slotTwoPhase, .historyDiverged, .otherCluster, .optionsChanged, .positionAheadOfWAL, .otherWriter,
            .foreignMessage, .holeFound, .poisonEvent, .permissionPostgres, .permissionNATS, .tls, .credentials, .configuration,
            .unexpected, .unreachable, .slotActive:
            false
        }
    }

    /// What the operator is told to do, beginning with what is particular to the reason.
    static func remedy(for reason: StopReason) -> String {
        let particular =
            switch reason {
            case .slotMissing: "Find out who dropped it"
            case .slotAhead:
                "Find out who advanced or recreated it, or what made JetStream lose its end together with the record"
            case .slotInvalidated:
                "Raise max_slot_wal_keep_size or idle_replication_slot_timeout, whichever ended it, so that it is not lost again"
            case .slotUnconfirmed: "It was never streamed from, and cannot be: it has to be made anew"
            case .streamMissing: "Find out who deleted it; bring it back from a backup if there is one with its end. \(rewind)"
            case .streamRecreated: "Find out who made it anew. \(rewind)"
            case .streamPurged: "Find out who deleted its last messages, or whether max_age is shorter than the streamer's pauses"
            case .streamTailLost:
                "Find out what JetStream's storage lost: an acknowledged message is not yet synchronised to the disk. \(rewind)"
            case .bucketMissing: "Find out who deleted it, or whether JetStream lost its store. \(rewind)"
            case .historyDiverged:
                "The server was restored or promoted without what the stream ends with: consumers hold changes that the database does not"
            case .publicationLost: "Find out who dropped, renamed or made it again"
            case .positionAheadOfWAL: "The server was restored to an older state: consumers hold changes that the database does not"
            case .otherCluster: "Correct source.url if this is not the server that was meant"
            case .slotTwoPhase, .optionsChanged, .otherWriter, .foreignMessage, .holeFound, .poisonEvent,
                .permissionPostgres, .permissionNATS, .tls, .credentials, .configuration, .unexpected, .unreachable, .slotActive:
                ""
            }
        return (particular.isEmpty ? "" : particular + ". ") + (isAcceptable(reason) ? goOn : beginAnew)
    }

    /// Of a slot that the catalogue shows as sound, and whose WAL is gone all the same: somebody has deleted it.
    static let remedyForRemovedWAL =
        "Find out who removed files from pg_wal; put them back from an archive if there is one, and start again. Else nothing of the slot can be read any more: compare the tables with what consumers hold, drop the slot (`slotstream slot drop`), then `slotstream slot advance --accept-gap` goes on behind the gap and stores a marker that consumers read"

    private static let rewind = "A version with `slotstream rewind` rebuilds the stream from its replay window, without a gap"

    private static let goOn =
        "Nothing was passed over. Compare the tables with what consumers hold; then `slotstream slot advance --accept-gap` goes on behind the gap and stores a marker that consumers read, or begin anew: drop the slot if it is there (`slotstream slot drop`), choose another transport.nats.stream_name and another subject_prefix, and run `slotstream setup`"

    private static let beginAnew =
        "Nothing was passed over. Compare the tables with what consumers hold, then begin anew: drop the slot if it is there (`slotstream slot drop`), choose another transport.nats.stream_name and another subject_prefix, and run `slotstream setup`"
}
