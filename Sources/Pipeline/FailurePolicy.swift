import Capture
import JetStreamPublishing
import PostgresReplication

/// What is done about an error, and what the operator is told.
enum Verdict: Equatable {
    /// Try again after a delay, for ever; `hint` is what may help meanwhile.
    case retry(hint: String)
    /// Another streamer holds the slot: wait for it.
    case standBy
    /// Retrying cannot mend it.
    case stop(StopReason, remedy: String)
}

/// The one table that decides what retrying can mend.
enum FailurePolicy {
    static func verdict(on error: StreamerError) -> Verdict {
        switch error {
        case .postgres(let error): verdict(onPostgres: error)
        case .jetStream(let error): verdict(onJetStream: error)
        case .capture(let error): verdict(onCapture: error)
        case .decoding:
            .stop(.unexpected, remedy: "Nothing was skipped. Please report it with the output of `slotstream decode`")
        case .stop(let reason, _, let remedy): .stop(reason, remedy: remedy)
        case .serverShuttingDown: .retry(hint: "the streamer goes on when the server is back")
        case .walHeldUp: .retry(hint: "raise max_slot_wal_keep_size, or bring NATS back soon")
        case .streamMoved, .checkpointConflict: .retry(hint: "recovering from the start")
        case .slotActive: .standBy
        case .system: .stop(.unexpected, remedy: "See the limits of the process (ulimit -a)")
        case .cancelled: .retry(hint: "")
        }
    }

    private static func verdict(onPostgres error: PostgresError) -> Verdict {
        if error.isShuttingDown { return .retry(hint: "the server is stopping or starting") }
        if error.isTLS { return .stop(.tls, remedy: "Check sslmode, sslrootcert, sslcert and sslkey in source.url") }
        if case .passwordMissing = error {
            return .stop(
                .credentials,
                remedy:
                    "Put the password into the connection string, in a file that source.url_file names; or set PGPASSFILE to a file of libpq's")
        }
        if error.isConnectionString {
            return .stop(
                .configuration,
                remedy:
                    "Correct source.url, or the file that source.url_file names. It is a libpq connection string: host=db dbname=shop user=slotstream, or postgres://slotstream@db/shop"
            )
        }
        if error.isPooler {
            return .stop(
                .configuration,
                remedy:
                    "A connection pooler (PgBouncer, Pgpool, a cloud provider's pooler) does not pass replication on. Put PostgreSQL's own host and port into source.url"
            )
        }
        if error.isAuthentication {
            return .stop(.credentials, remedy: "Check user and password in source.url, and pg_hba.conf")
        }
        if case .connectionFailed(_, "42501"?) = error {
            return .stop(
                .permissionPostgres,
                remedy:
                    "Let a superuser run: psql -d DATABASE -v role=NAME -f sql/role.sql. It gives the role what a streamer needs: LOGIN, REPLICATION, and CONNECT to the database"
            )
        }
        if error.isPermission {
            return .stop(
                .permissionPostgres,
                remedy: "Grant what is missing: see sql/role.sql, or let an owner run `slotstream setup --print-sql`")
        }
        if error.isObjectInUse { return .standBy }
        switch error {
        case .connectionFailed(_, let sqlState?):
            return sqlState == "3D000"
                ? .stop(.configuration, remedy: "Name an existing database in source.url")
                : .retry(
                    hint: sqlState == "53300"
                        ? "all of PostgreSQL's connections are in use: raise max_connections, or max_wal_senders, and restart PostgreSQL"
                        : "PostgreSQL refuses connections")
        case .connectionFailed(_, nil), .connectionStringInvalid, .passwordMissing:
            return .retry(hint: "PostgreSQL cannot be reached: check source.url and the server")
        case .connectionLost, .timedOut: return .retry(hint: "reconnecting to PostgreSQL")
        case .protocolViolation: return .stop(.unexpected, remedy: "Please report it")
        case .walRemoved: return .stop(.slotInvalidated, remedy: LostHistory.remedyForRemovedWAL)
        case .server(let sqlState, _, _, _, _, let command): return verdict(onServerError: sqlState, to: command)
        }
    }

    private static func verdict(onServerError sqlState: String, to command: String) -> Verdict {
        switch sqlState {
        // Somebody else has taken the last slot since we looked.
        case "53400" where command.hasPrefix("CREATE_REPLICATION_SLOT"):
            return .stop(
                .configuration, remedy: "\(Setup.dropsOneSlot). Or raise max_replication_slots and restart PostgreSQL")
        // The session is not ours to write with: on PostgreSQL itself our sessions say that they write.
        case "25006":
            return .stop(
                .configuration,
                remedy:
                    "The role or the database is read only there: ALTER ROLE NAME RESET default_transaction_read_only. Or name the primary in source.url"
            )
        // An invalidated slot, a server in recovery: recovery reads the catalogue, and knows them by it.
        case "55000": return .retry(hint: "looking again at slot and server")
        // A limit of role or database on waiting for a lock, before ours are set: the next attempt may find it free.
        case "55P03": return .retry(hint: "PostgreSQL waited too long for a lock")
        // An undefined slot or publication: recovery looks what is there and names it.
        case "42704": return .retry(hint: "looking again at slot and publication")
        default: break
        }
        // 08 connection, 40 rollback, 53 resources, 57 operator, 58 system, XX internal: they pass, or an operator ends them.
        let passing = ["08", "40", "53", "57", "58", "XX", "0A", "25"]
        if passing.contains(String(sqlState.prefix(2))) { return .retry(hint: "PostgreSQL reported \(sqlState)") }
        return .stop(.unexpected, remedy: "PostgreSQL refused with \(sqlState); nothing was lost")
    }

    /// The longest that is waited before the next attempt: a PostgreSQL that restarts is there again within seconds, and asking whether it is costs little.
    static func retryLimit(after error: StreamerError) -> Duration {
        switch error {
        case .serverShuttingDown: return restartLimit
        case .postgres(let error) where error.isShuttingDown || error.isUnreachable: return restartLimit
        default: return Backoff.defaultLimit
        }
    }

    private static let restartLimit = Duration.seconds(1)

    /// Whether the same connection to NATS may answer another time; if not, the session ends and a new one decides.
    static func isWorthAsking(again error: JetStreamError) -> Bool {
        if case .connectionClosed = error { return false }
        if case .retry = verdict(onJetStream: error) { return true }
        return false
    }

    private static func verdict(onJetStream error: JetStreamError) -> Verdict {
        switch error {
        case .configuration: .stop(.configuration, remedy: "Correct transport.nats")
        case .authorization:
            .stop(.credentials, remedy: "Check credentials_file, nkey_seed_file, user and password_file or token_file")
        case .tls: .stop(.tls, remedy: "Check transport.nats.tls")
        case .permission:
            .stop(.permissionNATS, remedy: "Allow the account to publish and to use $JS.API and _INBOX on this subject")
        case .notConnected, .timedOut:
            .retry(hint: "NATS cannot be reached, or has no leader for the stream")
        case .noResponders:
            .retry(hint: "JetStream has no leader for the stream, or is not enabled on this nats-server (nats-server -js)")
        case .api where error.isJetStreamMissing:
            .stop(
                .configuration,
                remedy:
                    "Enable JetStream for the account of this user: jetstream: enabled in its block under accounts { } of nats-server's configuration, then nats-server --signal reload"
            )
        case .api(_, JetStreamErrorCode.subjectsOverlap, _, _):
            .stop(.configuration, remedy: Setup.choosesOtherSubjects)
        case .api(_, JetStreamErrorCode.storageResourcesExceeded, _, _):
            .stop(
                .configuration,
                remedy: "The server has less storage than that: lower transport.nats.jetstream.max_bytes")
        // Only what is to be made is refused for good: what is to be stored finds room again.
        case .api(_, JetStreamErrorCode.accountResourcesExceeded, _, let operation)
        where !operation.hasPrefix("$JS.API.STREAM.CREATE"):
            .retry(hint: "The account's JetStream storage is full: raise its limit")
        // A cluster that comes up says so until its last server has; one whose servers are full, until there is room.
        case .api(_, JetStreamErrorCode.noSuitablePeers, _, _):
            .retry(
                hint:
                    "Too few servers of the cluster are ready and have room for it: bring them up, or lower transport.nats.jetstream.replicas or max_bytes"
            )
        // As with the server's own limit, below.
        case .api(_, JetStreamErrorCode.messageTooLarge, _, _): .retry(hint: "the stream's max_msg_size is read again")
        case .api(_, JetStreamErrorCode.replicasNotSupported, _, _):
            .stop(.configuration, remedy: "The server is no cluster: set transport.nats.jetstream.replicas = 1")
        case .api(let code, _, _, _):
            code >= 500 || code == 408 || code == 429
                ? .retry(hint: "JetStream is not able to now")
                : .stop(
                    .configuration,
                    remedy: "JetStream refuses it as configured: correct transport.nats.jetstream, or the account's limits")
        // The limit has become smaller since it was read: encoded anew the event is told by its position, or goes out as a reference.
        case .payloadTooLarge: .retry(hint: "the server's max_payload is read again")
        case .invalidMessage:
            .stop(.poisonEvent, remedy: "Nothing was skipped. Please report it: its subject or id cannot be sent")
        case .malformedResponse, .client, .connectionClosed: .retry(hint: "reconnecting to NATS")
        case .wedged: .stop(.unexpected, remedy: "Restart the process")
        }
    }

    private static func verdict(onCapture error: CaptureError) -> Verdict {
        switch error {
        case .poison(let reason, _, _): .stop(.poisonEvent, remedy: remedy(for: reason))
        case .historyDiverged, .transactionShrank: .stop(.historyDiverged, remedy: LostHistory.remedy(for: .historyDiverged))
        case .protocolViolation: .stop(.unexpected, remedy: "Nothing was skipped. Please report it")
        // The session knows why, and says that instead.
        case .relationRefused: .stop(.configuration, remedy: "Correct [events.columns]")
        case .catalogueUnavailable: .retry(hint: "the catalogue is asked again")
        case .subjectTemplate: .stop(.configuration, remedy: "Correct events.subject")
        }
    }

    /// What loses nothing, valid or not: an exclusion would leave out valid events too.
    private static func remedy(for reason: PoisonReason) -> String {
        let quarantine =
            "Nothing was skipped. Set events.on_poison = \"quarantine\" and start again: what is known of it is stored in its place, on {prefix}._slotstream.POISON, and the stream goes on"
        switch reason {
        case .messageBody:
            return "\(quarantine). Let whoever emits it call slotstream.emit_event, which refuses what is no event"
        case .entityIDNotUUID:
            return
                "\(quarantine). For the events to come: name a uuid column of the table in [events.identity], and see that its replica identity carries it"
        case .subjectTooLong, .subjectReserved:
            return "\(quarantine). For the events to come: take the {column:…} with such values out of events.subject"
        case .payloadTooLarge:
            return
                "\(quarantine). Or raise max_payload of nats-server, or max_msg_size of the stream where that is less, or set events.on_poison = \"reference\" to publish such events without their data. If one of the two is set already, the limit is too small for any event: raise it"
        case .notUTF8, .malformedValue:
            return "\(quarantine). Or set events.on_poison = \"reference\" to publish such events without their data"
        }
    }
}
