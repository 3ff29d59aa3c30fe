/// What can be done where slot and stream cannot be joined without a gap, a text for each reason.
package enum LostHistory {
    /// Lost history that a streamer can go on after: what the slot sends from now on is of the history that the stream has, or the stream has none.
    package static func isAcceptable(_ reason: StopReason) -> Bool {
        switch reason {
        case .slotMissing, .slotAhead, .slotInvalidated, .slotUnconfirmed, .streamMissing, .streamRecreated,
            .streamPurged, .streamTailLost, .bucketMissing, .publicationLost:
            true
        case .slotTwoPhase, .historyDiverged, .otherCluster, .optionsChanged, .positionAheadOfWAL, .otherWriter,
            .foreignMessage, .holeFound, .poisonEvent, .permissionPostgres, .permissionNATS, .tls, .credentials, .configuration,
            .unexpected, .unreachable, .slotActive, .consumerMissing:
            false
        }
    }

    /// What the operator is told to do, beginning with what is particular to the reason.
    package static func remedy(for reason: StopReason) -> String {
        Steps.text(preface(of: reason), particularSteps(for: reason) + (isAcceptable(reason) ? acceptGap : beginAnew))
    }

    /// Of a slot without a record. It may be one that was made by hand for a first start: `command` takes it.
    package static func remedyForMissingRecord(adoptedBy command: String) -> String {
        Steps.text(
            preface(of: .bucketMissing),
            ["If no streamer ever used the slot, adopt the slot and skip the other steps: `\(command)`"]
                + particularSteps(for: .bucketMissing) + acceptGap)
    }

    /// Of a stream that is empty and has held messages: whose they were is not known.
    package static let remedyForEmptiedStream = Steps.text(
        "Nothing was skipped",
        [
            "If another writer stored the messages, such as FraiseQL's own NATS backend, stop the other writer and skip the other steps: `slotstream setup --after-foreign`",
        ] + particularSteps(for: .slotMissing) + acceptGap)

    /// Of a slot that the catalogue shows as sound, and whose WAL is gone all the same: somebody has deleted it.
    package static let remedyForRemovedWAL = Steps.text(
        "Nothing was skipped",
        [
            "Find the person or the program that removed files from pg_wal",
            "If an archive has these files, put the files back and skip the other steps: `slotstream run`",
            compare,
            "Drop the slot, which PostgreSQL can no longer read: `slotstream slot drop`",
            accept, start,
        ])

    /// Of a message at the stream's end that the server's history does not have, and that somebody may have forged.
    package static func remedyIfForged(_ reason: StopReason) -> String {
        let stepsIfForged = [
            "If the server was restored or promoted, continue with step 4. Otherwise the message is forged",
            "Keep every other client from publishing to the prefix",
            "Go on behind the forged message, then start the streamer and skip the other steps: `slotstream mend --by NAME`",
        ]
        return Steps.text(preface(of: reason), stepsIfForged + particularSteps(for: reason) + beginAnew)
    }

    /// Of a slot that was made with `two_phase`.
    package static func remedyForTwoPhase(isFirstStart: Bool) -> String {
        Steps.text([
            "Drop the slot: `slotstream slot drop`",
            isFirstStart
                ? "Create the slot without two_phase: `slotstream setup`"
                : "Create the slot without two_phase, behind the gap: `slotstream slot advance --accept-gap --by NAME`",
            start,
        ])
    }

    /// Of settings that select other events than those of which the stream's end is not known yet.
    package static let remedyForChangedOptions = Steps.text([
        "Set the old values of source.publication, events.exclude and events.message_prefixes again",
        start,
        "Wait until lag is 0 bytes: `slotstream status`",
        "Stop the streamer",
        "Set the new values, and start the streamer again",
    ])

    /// Of messages of another writer in a stream without an event of ours.
    package static let remedyForForeignMessages = Steps.text([
        "Stop the other writer. FraiseQL writes while fraiseql.toml has `backend = \"nats\"` under [observers]: change that line to `backend = \"postgresql\"` and restart FraiseQL",
        "Begin behind these messages, which stay in the stream: `slotstream setup --after-foreign`",
        "Or set another transport.nats.stream_name and another transport.nats.subject_prefix, and create a new stream: `slotstream setup`",
    ])

    /// Of a record that another streamer has taken over.
    package static let remedyForOtherWriter = "Stop one of the two streamers. Nothing is lost, and nothing is stored twice"

    private static func preface(of reason: StopReason) -> String {
        switch reason {
        case .historyDiverged:
            "Nothing was skipped. The server was restored or promoted without the changes at the stream's end. Consumers hold changes that the database does not have"
        case .positionAheadOfWAL:
            "Nothing was skipped. The server was restored to an older state. Consumers hold changes that the database does not have"
        case .streamMissing, .streamRecreated, .streamPurged, .streamTailLost, .bucketMissing, .publicationLost:
            "Nothing was skipped. The slot still sends the changes that PostgreSQL has not been told of"
        default: "Nothing was skipped"
        }
    }

    private static func particularSteps(for reason: StopReason) -> [String] {
        switch reason {
        case .slotMissing: ["Find the person or the program that dropped the slot"]
        case .slotAhead:
            [
                "Find the cause: another program advanced or recreated the slot, or JetStream lost the stream's end and the record"
            ]
        case .slotInvalidated:
            [
                "Raise max_slot_wal_keep_size, or raise idle_replication_slot_timeout where PostgreSQL names idle_timeout as the cause"
            ]
        case .slotUnconfirmed, .slotTwoPhase, .historyDiverged, .positionAheadOfWAL: []
        case .streamMissing: ["If a backup has the stream with its last messages, restore the stream and start the streamer"]
        case .streamRecreated: ["Find the person or the program that made the stream again"]
        case .streamPurged:
            [
                "Find the person or the program that deleted the last messages. If max_age deleted them, raise the stream's max_age above the streamer's longest pause"
            ]
        case .streamTailLost: ["Check JetStream's storage: the server lost messages that were acknowledged"]
        case .bucketMissing: ["Find the person or the program that deleted the record, or check JetStream's storage"]
        case .publicationLost: ["Find the person or the program that dropped, renamed or recreated the publication"]
        case .otherCluster: ["If the address is wrong, correct source.url and skip the other steps: `slotstream run`"]
        case .foreignMessage: ["Stop the other writer. A stream has one writer"]
        case .optionsChanged, .otherWriter, .holeFound, .poisonEvent, .permissionPostgres, .permissionNATS, .tls, .credentials,
            .configuration, .unexpected, .unreachable, .slotActive, .consumerMissing:
            []
        }
    }

    private static let compare = "Compare the tables with the consumers' data"
    private static let accept =
        "Go on behind the gap and store a marker for consumers: `slotstream slot advance --accept-gap --by NAME`"
    private static let start = "Start the streamer: `slotstream run`"

    /// Goes on in the same stream.
    package static let acceptGap = ["Show the gap: `slotstream slot advance`", compare, accept, start]

    /// Leaves slot and stream, for new ones.
    package static let beginAnew = [
        compare,
        "If `slotstream slot list` shows the slot, drop the slot: `slotstream slot drop`",
        "Set another transport.nats.stream_name and another transport.nats.subject_prefix",
        "Create the new slot and the new stream: `slotstream setup`",
        start,
    ]
}
