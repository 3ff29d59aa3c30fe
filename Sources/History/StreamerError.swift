package import Capture
package import JetStreamPublishing
package import PGOutput
package import PostgresReplication
package import WAL

/// All that can end a session or a command, from both edges and from where they meet.
package enum StreamerError: Error, Sendable {
    /// PostgreSQL's side; `slot` is where.
    case postgres(PostgresError)
    case jetStream(JetStreamError)
    case capture(CaptureError)
    /// A message that is not pgoutput as it is documented.
    case decoding(PGOutputError, at: LSN)
    /// What refuses to go on whatever is retried: its reason, what happened and where, what to do.
    case stop(StopReason, what: String, remedy: String)
    /// The same, for what `check` finds too; at least one.
    case found(StopReason, [Finding])
    /// PostgreSQL is shutting down while rows wait unread: the connection is given up so that it can.
    case serverShuttingDown
    /// PostgreSQL wants to be rid of WAL that the slot holds while rows wait unread: the connection is given up so that it can, whatever becomes of the slot.
    case walHeldUp(slot: String, status: String)
    /// The stream's end is not where it was: recovery from the start decides what that means.
    case streamMoved(String)
    /// The slot is held by somebody; nil: PostgreSQL did not say by whom.
    case slotActive(SlotHolder?)
    /// The server is a standby: nothing can be streamed from it before its promotion.
    case serverInRecovery
    /// A record with a later revision was found; recovery reads it.
    case checkpointConflict(String)
    /// The operating system refused something.
    case system(String)
    /// Asked to stop.
    case cancelled
}

extension StreamerError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .postgres(let error): ShownText.line("\(error)")
        case .jetStream(let error): ShownText.line("\(error)")
        case .capture(let error): "\(error)"
        case .decoding(let error, let lsn): "pgoutput message at \(lsn): \(error)"
        case .stop(_, let what, _): what
        case .found(_, let findings): findings.map(\.sentence).joined(separator: ". ")
        case .serverShuttingDown: "PostgreSQL is shutting down"
        case .walHeldUp(let slot, let status):
            "slot \(slot) is \(status): PostgreSQL is about to remove WAL that the slot needs, while nothing can be stored. The streamer closes the connection, which would hold up PostgreSQL's checkpoint"
        case .streamMoved(let what): what
        case .serverInRecovery:
            "the server is a standby in recovery: the streamer waits for the promotion. To connect to the primary, set target_session_attrs=primary in source.url"
        case .slotActive(let holder): "the slot is in use" + (holder.map { " by \($0)" } ?? "")
        case .checkpointConflict(let what): what
        case .system(let what): what
        case .cancelled: "asked to stop"
        }
    }
}

extension StreamerError {
    /// Runs what PostgreSQL's edge may refuse; its error becomes `.postgres`.
    package static func ofPostgres<Value: ~Copyable>(
        _ body: () throws(PostgresError) -> Value
    ) throws(StreamerError) -> Value {
        do throws(PostgresError) {
            return try body()
        } catch {
            throw .postgres(error)
        }
    }

    /// Runs what NATS's edge may refuse; its error becomes `.jetStream`.
    package static func ofJetStream<Value: ~Copyable>(
        _ body: () throws(JetStreamError) -> Value
    ) throws(StreamerError) -> Value {
        do throws(JetStreamError) {
            return try body()
        } catch {
            throw .jetStream(error)
        }
    }
}
