package import Capture
package import JetStreamPublishing
import PostgresReplication

/// What is done about an error, and what the operator is told.
package enum Verdict: Equatable {
    /// Try again after a delay, for ever; `hint` is what may help meanwhile.
    case retry(hint: String)
    /// Another streamer holds the slot, or the server is a standby: wait for either to change.
    case standBy
    /// Retrying cannot mend it.
    case stop(StopReason, remedy: String)
}

/// The one table that decides what retrying can mend.
package enum FailurePolicy {
    package static func verdict(on error: StreamerError) -> Verdict {
        switch error {
        case .postgres(let error): verdict(onPostgres: error)
        case .jetStream(let error): verdict(onJetStream: error)
        case .capture(let error): verdict(onCapture: error)
        case .decoding:
            .stop(.unexpected, remedy: Steps.text(
                    "Nothing was skipped", ["Show the messages of the slot: `slotstream decode`", "Report this error with that output"]))
        case .stop(let reason, _, let remedy): .stop(reason, remedy: remedy)
        case .found(let reason, let findings): .stop(reason, remedy: findings.map(\.fix).joined(separator: ". "))
        case .serverShuttingDown: .retry(hint: "The streamer continues when PostgreSQL is back")
        case .walHeldUp: .retry(hint: "Start NATS again, or raise max_slot_wal_keep_size")
        case .streamMoved, .checkpointConflict: .retry(hint: "The streamer reads both servers again")
        case .slotActive, .serverInRecovery: .standBy
        case .system: .stop(.unexpected, remedy: "Check the limits of the process: ulimit -a")
        case .cancelled: .retry(hint: "")
        }
    }

    private static func verdict(onPostgres error: PostgresError) -> Verdict {
        if error.isShuttingDown { return .retry(hint: "Wait until PostgreSQL has started") }
        if error.isTLS { return .stop(.tls, remedy: "Correct sslmode, sslrootcert, sslcert or sslkey in source.url") }
        if case .passwordMissing = error {
            return .stop(
                .credentials,
                remedy:
                    "Add the password to the connection string in the file of source.url_file, or set PGPASSFILE to a password file of libpq")
        }
        if error.isConnectionString {
            return .stop(
                .configuration,
                remedy:
                    "Correct source.url, or the file that source.url_file names. A connection string is host=db dbname=shop user=slotstream, or postgres://slotstream@db/shop"
            )
        }
        if error.isPooler {
            return .stop(
                .configuration,
                remedy:
                    "Set PostgreSQL's own host and port in source.url and backfill.url: a connection pooler (PgBouncer, Pgpool, a cloud provider's pooler) does not support replication, and mixes sessions up"
            )
        }
        if error.isAuthentication {
            return .stop(.credentials, remedy: "Correct the user and the password in source.url, or pg_hba.conf on the server")
        }
        if case .connectionFailed(_, "42501"?) = error {
            return .stop(
                .permissionPostgres,
                remedy:
                    "Let a superuser run: psql -d DATABASE -v role=NAME -f sql/role.sql. The script gives the role LOGIN, REPLICATION, and CONNECT to the database"
            )
        }
        // Whoever may not replicate was refused at the connection.
        if case .server("42501", _, _, _, _, let command) = error, command.hasPrefix("CREATE_REPLICATION_SLOT") {
            return .stop(
                .permissionPostgres,
                remedy: Steps.text([
                    "Let a superuser look which output plugins PostgreSQL allows, in psql: SHOW output_plugin_libraries",
                    "Let the superuser add pgoutput to the list: ALTER SYSTEM SET output_plugin_libraries = 'pgoutput', 'test_decoding'",
                    "Load the setting: SELECT pg_reload_conf()",
                ]))
        }
        if error.isPermission {
            return .stop(
                .permissionPostgres,
                remedy: Steps.text([
                    "Let a superuser run sql/role.sql, which grants the rights of the streamer",
                    "For a missing publication, let the owner of the tables run the output of `slotstream setup --print-sql`",
                    "Adopt the slot that this output makes: `slotstream setup --adopt-slot`",
                    "Start the streamer: `slotstream run`",
                ]))
        }
        if error.isObjectInUse { return .standBy }
        switch error {
        case .connectionFailed(_, let sqlState?):
            return sqlState == "3D000"
                ? .stop(.configuration, remedy: "Set the name of an existing database in source.url")
                : .retry(
                    hint: sqlState == "53300"
                        ? "Raise max_connections or max_wal_senders, and restart PostgreSQL: all connections are in use"
                        : "Check PostgreSQL's log")
        case .connectionFailed(_, nil), .connectionStringInvalid, .passwordMissing:
            return .retry(hint: "Check source.url, the server and the network")
        case .connectionLost, .timedOut: return .retry(hint: "Check PostgreSQL and the network")
        case .protocolViolation: return .stop(.unexpected, remedy: "Nothing was skipped. Report this error")
        case .walRemoved: return .stop(.slotInvalidated, remedy: LostHistory.remedyForRemovedWAL)
        case .server(let sqlState, _, _, _, _, let command): return verdict(onServerError: sqlState, to: command)
        }
    }

    private static func verdict(onServerError sqlState: String, to command: String) -> Verdict {
        switch sqlState {
        // Somebody else has taken the last slot since we looked.
        case "53400" where command.hasPrefix("CREATE_REPLICATION_SLOT"):
            return .stop(
                .configuration, remedy: "\(Finding.dropsOneSlot). Or raise max_replication_slots and restart PostgreSQL")
        // The session is not ours to write with: on PostgreSQL itself our sessions say that they write.
        case "25006":
            return .stop(
                .configuration,
                remedy:
                    "The role or the database is read only there: ALTER ROLE NAME RESET default_transaction_read_only. Or name the primary in source.url"
            )
        // An invalidated slot, a server in recovery: recovery reads the catalogue, and knows them by it.
        case "55000": return .retry(hint: "Check the slot and the server: `slotstream status`")
        // A limit of role or database on waiting for a lock, before ours are set: the next attempt may find it free.
        case "55P03": return .retry(hint: "Find the session that holds the lock, in pg_locks")
        // An undefined slot or publication: recovery looks what is there and names it.
        case "42704": return .retry(hint: "Check the slot and the publication: `slotstream status`")
        default: break
        }
        // 08 connection, 40 rollback, 53 resources, 57 operator, 58 system, XX internal: they pass, or an operator ends them.
        let passing = ["08", "40", "53", "57", "58", "XX", "0A", "25"]
        if passing.contains(String(sqlState.prefix(2))) { return .retry(hint: "Check PostgreSQL's log") }
        return .stop(.unexpected, remedy: "Nothing was skipped. Check PostgreSQL's log, and report this error")
    }

    /// The longest that is waited before the next attempt: a PostgreSQL that restarts is there again within seconds, and asking whether it is costs little.
    package static func retryLimit(after error: StreamerError) -> Duration {
        switch error {
        case .serverShuttingDown: return restartLimit
        case .postgres(let error) where error.isShuttingDown || error.isUnreachable: return restartLimit
        default: return Backoff.defaultLimit
        }
    }

    private static let restartLimit = Duration.seconds(1)

    /// Whether the same connection to NATS may answer another time; if not, the session ends and a new one decides.
    package static func isWorthAsking(again error: JetStreamError) -> Bool {
        if case .connectionClosed = error { return false }
        if case .retry = verdict(onJetStream: error) { return true }
        return false
    }

    private static func verdict(onJetStream error: JetStreamError) -> Verdict {
        switch error {
        case .configuration: .stop(.configuration, remedy: "Correct [transport.nats]")
        case .authorization:
            .stop(.credentials, remedy: "Correct credentials_file, nkey_seed_file, user and password_file, or token_file in [transport.nats]")
        case .tls: .stop(.tls, remedy: "Correct [transport.nats.tls]")
        case .permission:
            .stop(.permissionNATS, remedy: Steps.text([
                    "Print the rights of the NATS user: `slotstream setup --print-nats-permissions`",
                    "Paste these rights into nats-server's configuration, and load the configuration: `nats-server --signal reload`",
                ]))
        case .notConnected, .timedOut:
            .retry(hint: "Check transport.nats.url, nats-server and the stream's leader")
        case .noResponders:
            .retry(hint: "Check the stream's leader, and that nats-server runs with JetStream: nats-server -js")
        case .api where error.isJetStreamMissing:
            .stop(
                .configuration,
                remedy: Steps.text([
                    "Enable JetStream for the account of this user: set jetstream: enabled in the account's block under accounts in nats-server's configuration",
                    "Load that configuration: `nats-server --signal reload`",
                ]))
        case .api(_, JetStreamErrorCode.subjectsOverlap, _, _):
            .stop(.configuration, remedy: Finding.choosesOtherSubjects)
        case .api(_, JetStreamErrorCode.storageResourcesExceeded, _, _):
            .stop(
                .configuration,
                remedy: "Lower transport.nats.jetstream.max_bytes, or raise the server's max_file_store")
        // Only what is to be made is refused for good: what is to be stored finds room again.
        case .api(_, JetStreamErrorCode.accountResourcesExceeded, _, let operation)
        where !operation.hasPrefix("$JS.API.STREAM.CREATE"):
            .retry(hint: "Raise the JetStream storage limit of the account")
        // A cluster that comes up says so until its last server has; one whose servers are full, until there is room.
        case .api(_, JetStreamErrorCode.noSuitablePeers, _, _):
            .retry(
                hint:
                    "Start the missing servers of the cluster, or lower transport.nats.jetstream.replicas or max_bytes"
            )
        // As with the server's own limit, below.
        case .api(_, JetStreamErrorCode.messageTooLarge, _, _): .retry(hint: "The streamer reads the stream's max_msg_size again")
        case .api(_, JetStreamErrorCode.replicasNotSupported, _, _):
            .stop(.configuration, remedy: "Set transport.nats.jetstream.replicas = 1, because the server is not a cluster")
        case .api(let code, _, _, _):
            code >= 500 || code == 408 || code == 429
                ? .retry(hint: "Check nats-server's log")
                : .stop(
                    .configuration,
                    remedy: "Correct [transport.nats.jetstream], or raise the limits of the account")
        // The limit has become smaller since it was read: encoded anew the event is told by its position, or goes out as a reference.
        case .payloadTooLarge: .retry(hint: "The streamer reads the server's max_payload again")
        case .invalidMessage:
            .stop(.poisonEvent, remedy: "Nothing was skipped. Report this error: the subject or the id of the event cannot be sent")
        case .malformedResponse, .client, .connectionClosed: .retry(hint: "Check nats-server's log and the network")
        case .wedged: .stop(.unexpected, remedy: "Restart the streamer")
        }
    }

    private static func verdict(onCapture error: CaptureError) -> Verdict {
        switch error {
        case .poison(let reason, let position, _): .stop(.poisonEvent, remedy: remedy(for: reason, at: position))
        case .historyDiverged, .transactionShrank: .stop(.historyDiverged, remedy: LostHistory.remedy(for: .historyDiverged))
        case .protocolViolation: .stop(.unexpected, remedy: "Nothing was skipped. Report this error")
        // The session knows why, and says that instead.
        case .relationRefused: .stop(.configuration, remedy: "Correct [events.columns]")
        case .digestUnavailable:
            .stop(.unexpected, remedy: "Check the OpenSSL library (libcrypto), and the memory limit of the process")
        case .subjectTemplate: .stop(.configuration, remedy: "Correct events.subject")
        }
    }

    /// What loses nothing, valid or not: an exclusion would leave out valid events too.
    private static func remedy(for reason: PoisonReason, at position: Position) -> String {
        let quarantined = "stores the known parts of the event on {prefix}._slotstream.POISON"
        let quarantine = "Set events.on_poison = \"quarantine\", which \(quarantined)"
        let reference = "Or set events.on_poison = \"reference\", which publishes such events without their data"
        let skip = "If the stream may lack this one event, pass over the event, then start the streamer and skip the other steps: `\(skipCommand(at: position))`"
        let start = "Start the streamer: `slotstream run`"
        let steps =
            switch reason {
            case .messageBody:
                [skip, quarantine, start, "Emit such messages by slotstream.emit_event, which refuses invalid messages"]
            case .entityIDNotUUID:
                [
                    skip, quarantine, start,
                    "For later events, set a uuid column of the table in [events.identity]. The replica identity must have this column",
                ]
            case .subjectTooLong, .subjectReserved:
                [skip, quarantine, start, "For later events, remove the {column:…} with such values from events.subject"]
            case .payloadTooLarge:
                [
                    skip, "Raise max_payload of nats-server, or max_msg_size of the stream where that is less",
                    "Or set events.on_poison = \"quarantine\", which \(quarantined)", reference, start,
                ]
            case .notUTF8, .malformedValue: [skip, quarantine, reference, start]
            }
        return Steps.text("Nothing was skipped", steps)
    }

    /// The command that passes over the event at this position.
    package static func skipCommand(at position: Position) -> String {
        "slotstream skip --at \(position.commitLSN) --change \(position.ordinal) --by NAME"
    }
}
