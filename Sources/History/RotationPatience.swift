import JetStreamPublishing
import PostgresReplication
import Synchronization
package import WAL

/// Bears with a server that refuses what it took before in this process: a password is most likely being rotated, on the server first and in our file
/// a while later. One that never worked is wrong, and stops.
package final class RotationPatience: Sendable {
    /// Longer than secrets take to reach the files of a container.
    package static let limit = Duration.seconds(600)

    private struct State {
        var hasWorked = false
        var refusedSince: Instant?
    }

    private let state = Mutex(State())

    package init() {}

    /// Both servers have taken us.
    package func worked() {
        state.withLock {
            $0.hasWorked = true
            $0.refusedSince = nil
        }
    }

    /// How much longer the refusal `error` is tried again for; nil: it is none of these, or has lasted too long.
    package func rest(of error: StreamerError, at now: Instant) -> Duration? {
        guard Self.mayPass(error) else { return nil }
        return state.withLock { state in
            guard state.hasWorked else { return nil }
            let since = state.refusedSince ?? now
            state.refusedSince = since
            let rest = Self.limit - now.duration(since: since)
            return rest > .zero ? rest : nil
        }
    }

    /// Whether another password, or other credentials in the same file, may be taken; or what an account was given may come back.
    private static func mayPass(_ error: StreamerError) -> Bool {
        switch error {
        case .postgres(let error): error.isPassword || error.isConnectionString
        // Not to be used is also a file that is being replaced.
        case .jetStream(.authorization), .jetStream(.configuration): true
        case .jetStream(let error): error.isJetStreamMissing
        case .capture, .decoding, .stop, .found, .serverShuttingDown, .walHeldUp, .streamMoved, .slotActive, .serverInRecovery, .checkpointConflict,
            .system, .cancelled:
            false
        }
    }
}
