import Capture
import JetStreamPublishing
import PostgresReplication

/// Why a session ended that is begun again: the `reason` of `/status`'s `last_error`, beside those of a stop.
package enum RetryReason: String, Sendable {
    /// No server answers.
    case unreachable
    case connectionLost = "connection_lost"
    case timedOut = "timed_out"
    /// PostgreSQL stops, starts, or recovers.
    case serverUnavailable = "server_unavailable"
    case tooManyConnections = "too_many_connections"
    case lockTimeout = "lock_timeout"
    /// The slot or the server is in no state for it, or one of what is named is not there: the next session reads what is there.
    case slotUnusable = "slot_unusable"
    /// PostgreSQL is about to remove WAL that the slot needs.
    case walHeldUp = "wal_held_up"
    case postgresError = "postgres_error"
    /// Nobody answers for the stream: no leader, or no JetStream.
    case noResponders = "no_responders"
    case storageFull = "storage_full"
    case messageTooLarge = "message_too_large"
    case jetStreamError = "jetstream_error"
    /// The stream's end is not where it was.
    case streamMoved = "stream_moved"
    case recordChanged = "record_changed"
    case credentials
    case tls
    case permissionPostgres = "permission_postgres"
    case permissionNATS = "permission_nats"
    case slotActive = "slot_active"
    case unexpected

    /// The name of what an error is about.
    package static func of(_ error: StreamerError) -> String {
        switch error {
        case .postgres(let error): of(error).rawValue
        case .jetStream(let error): of(error).rawValue
        case .stop(let reason, _, _), .found(let reason, _): reason.rawValue
        case .serverShuttingDown, .serverInRecovery: RetryReason.serverUnavailable.rawValue
        case .walHeldUp: RetryReason.walHeldUp.rawValue
        case .streamMoved: RetryReason.streamMoved.rawValue
        case .slotActive: RetryReason.slotActive.rawValue
        case .checkpointConflict: RetryReason.recordChanged.rawValue
        case .capture, .decoding, .system, .cancelled: RetryReason.unexpected.rawValue
        }
    }

    private static func of(_ error: PostgresError) -> RetryReason {
        if error.isShuttingDown { return .serverUnavailable }
        if error.isTLS { return .tls }
        if error.isAuthentication { return .credentials }
        if error.isPermission { return .permissionPostgres }
        if error.isObjectInUse { return .slotActive }
        if error.isUndefinedObject { return .slotUnusable }
        return switch error {
        case .connectionFailed(_, nil): .unreachable
        case .connectionFailed(_, "53300"?), .server("53300", _, _, _, _, _): .tooManyConnections
        case .server("55P03", _, _, _, _, _): .lockTimeout
        case .server("55000", _, _, _, _, _), .walRemoved: .slotUnusable
        case .connectionFailed, .server: .postgresError
        case .connectionLost: .connectionLost
        case .timedOut: .timedOut
        case .passwordMissing: .credentials
        case .connectionStringInvalid, .protocolViolation: .unexpected
        }
    }

    private static func of(_ error: JetStreamError) -> RetryReason {
        switch error {
        case .notConnected: .unreachable
        case .timedOut: .timedOut
        case .connectionClosed: .connectionLost
        case .noResponders: .noResponders
        case .authorization: .credentials
        case .tls: .tls
        case .permission: .permissionNATS
        case .payloadTooLarge: .messageTooLarge
        case .api(_, let errCode, _, _):
            switch RefusalCause.of(errCode).failure {
            case .messageTooLarge: .messageTooLarge
            case .storageFull: .storageFull
            default: .jetStreamError
            }
        case .malformedResponse, .client: .jetStreamError
        case .configuration, .invalidMessage, .wedged: .unexpected
        }
    }
}
