import Capture
import WAL

/// What is remembered of the events that were stored: how long they took, and the latest few.
struct StoredMemory: Sendable {
    /// The last event of an acknowledgement.
    struct Event: Sendable {
        var kind: Int
        var id: MessageID
        var sequence: UInt64
        var committedAt: PostgresTimestamp
    }

    /// Events that are kept.
    static let limit = 20

    var times = StoredTimes()
    var latest = LatestFew<Event>(limit: limit)
}
