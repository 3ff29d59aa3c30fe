extension FindingID {
    /// The part of `check`'s screen in which it stands.
    package enum Section: String, Sendable, CaseIterable {
        case postgres = "PostgreSQL"
        case role = "Role"
        case tables = "Tables"
        case slot = "Slot"
        case nats = "NATS"
        case stream = "Stream"
        case here = "Here"
    }

    /// Where it stands; a connection's exposure is PostgreSQL's unless the one that is found says otherwise.
    package var section: Section {
        switch self {
        case .walLevel, .noFreeSlot, .noFreeSender, .slotWALUnlimited, .slotWALShort, .waitsForTransaction, .faultyMinorVersion,
            .decodingSpills, .idleSlotTimeout, .standbyAway, .pluginForbidden, .walDiskFull, .otherSlotHoldsWAL:
            .postgres
        case .noReplicationRight, .credentialsRefused, .openToEveryAddress, .connectionOpenToOthers, .encodingUnconvertible, .timeLimit,
            .roleTooStrong, .throughPooler:
            .role
        case .noTableMatches, .patternMatchesNothing, .noReplicaIdentity, .identityWithoutEntityID, .identityNothing, .publicationMissing,
            .publicationMadeAgain, .publicationEmpty, .tablesNotPublished, .publicationLeavesOut, .publishedByPartition, .neverPublished,
            .rowsTooWide, .anybodyEmits, .triggerEmits, .ruleNamesNothing, .rowsBeforeSlot, .castRunsCode, .namesEncoded:
            .tables
        case .slotUnusable, .notFailoverSafe, .nobodyStreams, .replayWindow, .wouldStop: .slot
        case .jetStreamMissing, .natsPermissionMissing, .natsPermissionIncomplete, .subjectsTaken, .othersMayPublish, .serverVersionFault, .clocksDiffer: .nats
        case .noRoom, .retentionShort, .consumerNearEviction, .consumerNeverRead, .otherWriter, .othersMayDelete, .recordLessSafe,
            .streamBreaksGuarantee, .duplicateWindow, .differsFromConfiguration, .gathererStandsStill:
            .stream
        case .loopbackInPod, .secretOpenToOthers, .configurationWrong, .processLimit: .here
        }
    }

    /// What is found, for a table of them all.
    package var title: String { texts.title }

    /// Why that matters, where the one that is found does not say more.
    package var meaning: String { texts.meaning }

    private var texts: (title: String, meaning: String) {
        switch section {
        case .postgres: serverTexts
        case .role, .here: roleTexts
        case .tables: tableTexts
        case .slot, .nats, .stream: streamTexts
        }
    }

    private var serverTexts: (title: String, meaning: String) {
        switch self {
        case .walLevel: ("wal_level is not logical", "PostgreSQL cannot make a logical slot")
        case .noFreeSlot: ("no replication slot is free", "PostgreSQL cannot make the slot")
        case .noFreeSender: ("no walsender is free (max_wal_senders)", "The streamer cannot connect for replication")
        case .slotWALUnlimited: ("max_slot_wal_keep_size is -1", "A stopped streamer can fill the disk of PostgreSQL")
        case .slotWALShort:
            ("max_slot_wal_keep_size is less than an hour of the present WAL", "A stop of that length loses the slot")
        case .waitsForTransaction:
            ("a transaction is open for long", "The slot holds WAL back to the start of the transaction, and a new slot waits for the end")
        case .faultyMinorVersion:
            ("a minor version of PostgreSQL with a known fault of logical decoding", "The fault can lose changes or stop the decoding")
        case .decodingSpills: ("logical decoding writes transactions to disk", "Decoding is slower, and uses the disk of PostgreSQL")
        case .idleSlotTimeout: ("idle_replication_slot_timeout is under a day", "A stop of that length loses the slot")
        case .standbyAway: ("synchronized_standby_slots names a standby that is away", "Every logical walsender waits for the standby")
        case .pluginForbidden: ("output_plugin_libraries does not name pgoutput", "PostgreSQL makes no slot for the streamer")
        case .walDiskFull: ("little room on the disk of pg_wal", "PostgreSQL stops when the disk is full")
        case .otherSlotHoldsWAL: ("a slot that nobody uses holds WAL", "The WAL fills the disk of PostgreSQL")
        default: ("", "")
        }
    }

    private var roleTexts: (title: String, meaning: String) {
        switch self {
        case .noReplicationRight: ("the role has no REPLICATION", "The streamer cannot read the slot")
        case .credentialsRefused: ("a password is missing or refused", "The streamer cannot connect")
        case .openToEveryAddress: ("pg_hba.conf admits the role from every address", "The role can read every change of the cluster")
        case .connectionOpenToOthers: ("a connection to another machine without verified TLS", "Others could read or alter the data")
        case .encodingUnconvertible: ("a database encoding that PostgreSQL cannot convert", "Text that is no UTF-8 stops the streamer")
        case .timeLimit: ("a time limit of role or database that is too short", "PostgreSQL ends the connection before the limit is lifted")
        case .roleTooStrong: ("the role is a superuser, or may write published tables", "A leaked password can change the data")
        case .throughPooler: ("the connection goes through a pooler", "Replication needs PostgreSQL itself")
        case .loopbackInPod: ("http.listen is on the loopback inside a pod", "Kubernetes cannot reach the probes")
        case .secretOpenToOthers: ("a file with a secret is open to others", "Every user of the machine can read the secret")
        case .configurationWrong: ("the configuration is wrong", "No command that needs the configuration can start")
        case .processLimit: ("limits of the process are too low", "The streamer can run out of file descriptors or memory")
        default: ("", "")
        }
    }

    private var tableTexts: (title: String, meaning: String) {
        switch self {
        case .noTableMatches: ("source.tables matches no table", "Nothing would be published")
        case .patternMatchesNothing: ("a pattern of source.tables matches no table", "A table is missing in the publication")
        case .noReplicaIdentity: ("a published table has no usable replica identity", "UPDATE and DELETE fail in the application")
        case .identityWithoutEntityID:
            ("the replica identity has not the columns of entity_id", "DELETE events have no entity_id")
        case .identityNothing: ("REPLICA IDENTITY NOTHING", "UPDATE and DELETE fail as soon as the publication has these operations")
        case .publicationMissing: ("the publication does not exist", "The slot cannot be read")
        case .publicationMadeAgain: ("the publication was made after the position of the slot", "PostgreSQL cannot decode what lies before")
        case .publicationEmpty: ("the publication has no table", "No change is published")
        case .tablesNotPublished: ("a table of source.tables is not published", "The changes of the table are not published")
        case .publicationLeavesOut: ("the publication leaves out operations, rows or columns", "These changes are not published")
        case .publishedByPartition: ("a partitioned table is published by partition", "The events have the names of the partitions")
        case .neverPublished: ("an unlogged or foreign table matches source.tables", "PostgreSQL never publishes such a table")
        case .rowsTooWide: ("rows are near or over max_payload", "An event over max_payload is poison")
        case .anybodyEmits: ("every role may emit logical messages", "Every role can publish an event of every entity")
        case .triggerEmits: ("a trigger of a published table emits events", "Each row is announced twice")
        case .ruleNamesNothing: ("a rule of the configuration names an absent table or column", "The rule has no effect")
        case .rowsBeforeSlot: ("rows from before the slot", "These rows are not published before a backfill reads the rows")
        case .castRunsCode: ("a cast to json that is the code of an ordinary user", "The code can read the values, or fail")
        case .namesEncoded: ("a name that is encoded in subjects", "Consumers must subscribe to the encoded name")
        default: ("", "")
        }
    }

    private var streamTexts: (title: String, meaning: String) {
        switch self {
        case .slotUnusable:
            ("the slot is missing, lost, of another kind, or elsewhere than the record", "The streamer does not start")
        case .notFailoverSafe: ("the slot does not follow a promotion", "A failover loses the slot")
        case .nobodyStreams: ("nobody streams", "Changes wait in the slot, which holds WAL")
        case .replayWindow: ("the replay window is lost or too large", "Older events cannot be replayed")
        case .wouldStop: ("slot, record and stream do not fit, or a server refuses", "The streamer stops at the start")
        case .noRoom: ("JetStream has less room than max_bytes", "JetStream refuses the stream, or events")
        case .retentionShort: ("the stream keeps less than a day", "A consumer that is away for longer misses events")
        case .consumerNearEviction: ("a consumer is near the oldest event, or behind the oldest event", "The next events remove what the consumer has not read")
        case .consumerNeverRead: ("a durable consumer has never read", "Nobody uses the consumer, or its program does not run")
        case .jetStreamMissing: ("JetStream is not enabled for the account", "There can be no stream")
        case .natsPermissionMissing: ("the NATS user lacks a right", "The streamer stops with permission_nats")
        case .natsPermissionIncomplete: ("the NATS user lacks a right that the streamer can do without", "Something is not told, or takes longer")
        case .subjectsTaken: ("another stream captures the subjects", "JetStream refuses the stream")
        case .otherWriter: ("messages of another writer in the stream", "A stream has one writer")
        case .othersMayPublish: ("others may publish to the prefix", "Consumers cannot tell their messages from events")
        case .othersMayDelete: ("others may delete events of the stream", "Consumers miss deleted events")
        case .recordLessSafe: ("stream or bucket are less safe than the servers allow", "The loss of one server loses events or the record")
        case .streamBreaksGuarantee: ("a stream setting that breaks the guarantee", "The streamer refuses the stream")
        case .duplicateWindow: ("the duplicate window differs from the configuration", "The guarantee does not depend on the window")
        case .serverVersionFault: ("a nats-server version with a known fault", "The fault can leave a hole, or hold up an event")
        case .clocksDiffer: ("the clocks of the servers differ", "Ages, retention and replays by time are wrong by the difference")
        case .gathererStandsStill: ("a stream sources from the stream, on a nats-server before 2.10.14", "The stream that sources stands still")
        case .differsFromConfiguration: ("stream or consumer differ from the configuration", "The stream works otherwise than configured")
        default: ("", "")
        }
    }
}
