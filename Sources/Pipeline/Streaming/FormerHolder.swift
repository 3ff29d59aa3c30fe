import History
import Threads
import WAL

/// The walsender of the session before: whoever finds it holding the slot for long waits for no other streamer.
struct FormerHolder {
    /// PostgreSQL ends a walsender that has lost its client within `wal_sender_timeout`, 3 s where it was not set otherwise.
    static let endingTime = Duration.seconds(10)

    private var pid: Int32?
    private var foundAt: Instant?
    private var isTold = false

    /// A session holds the slot by this walsender; nil: nobody knows by which.
    mutating func holds(_ pid: Int32?) {
        self.pid = pid
        foundAt = nil
        isTold = false
    }

    /// Whether it is the session before's own walsender that holds the slot.
    func isNamed(by error: StreamerError) -> Bool {
        guard case .slotActive(let found?) = error else { return false }
        return found.pid == pid
    }

    /// Whether the session before ended with `error` because its predecessor's walsender has not gone in all the time that it needs.
    mutating func stillHolds(by error: StreamerError, at now: Instant) -> Bool {
        guard isNamed(by: error) else { return false }
        let since = foundAt ?? now
        foundAt = since
        return now.duration(since: since) >= Self.endingTime
    }

    /// Its number, once: people are told of it then.
    mutating func takeTelling() -> Int32? {
        guard !isTold else { return nil }
        isTold = true
        return pid
    }
}
