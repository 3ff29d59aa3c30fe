/// One of the two servers.
package enum Peer: String, CaseIterable, Sendable {
    case postgres
    case nats

    /// As people call it.
    package var name: String {
        switch self {
        case .postgres: "PostgreSQL"
        case .nats: "NATS"
        }
    }
}

extension StreamerError {
    /// The server that it is about.
    package var peer: Peer {
        switch self {
        case .jetStream, .streamMoved, .checkpointConflict: .nats
        case .postgres, .capture, .decoding, .stop, .found, .serverShuttingDown, .walHeldUp, .slotActive, .serverInRecovery, .system, .cancelled:
            .postgres
        }
    }

    /// Whether PostgreSQL may be asked as before.
    package var leavesPostgres: Bool {
        switch self {
        case .slotActive, .serverInRecovery, .walHeldUp: true
        default: peer == .nats
        }
    }
}
