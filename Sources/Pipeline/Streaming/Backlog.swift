import Threads
import WAL

/// What was waiting when a session began: told once when it is stored.
struct Backlog {
    /// What takes as long is told though no event was among it.
    static let notableTime = Duration.seconds(10)

    private let end: LSN
    private let byteCount: UInt64
    private let beganAt: Instant
    private let eventCount: UInt64
    private var isTold = false

    /// How a session caught up.
    struct Done: Equatable {
        var byteCount: UInt64
        var eventCount: UInt64
        var time: Duration
    }

    /// - Parameters:
    ///   - end: Where the server's WAL ended.
    ///   - eventCount: Events stored so far, since the process began.
    init(from confirmedLSN: LSN, to end: LSN, eventCount: UInt64, at now: Instant) {
        self.end = end
        byteCount = end.byteCount(since: confirmedLSN)
        self.eventCount = eventCount
        beganAt = now
    }

    /// All that commits before `storedLSN` is stored.
    /// - Returns: What it took, once; nil also where nothing worth a line waited.
    mutating func stored(upTo storedLSN: LSN, eventCount: UInt64, at now: Instant) -> Done? {
        guard !isTold, storedLSN >= end else { return nil }
        isTold = true
        let count = eventCount &- self.eventCount
        let time = now.duration(since: beganAt)
        return count > 0 || time >= Self.notableTime ? Done(byteCount: byteCount, eventCount: count, time: time) : nil
    }
}
