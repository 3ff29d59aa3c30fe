public import WAL

/// Who a server says it is: IDENTIFY_SYSTEM's answer.
public struct SystemIdentity: Sendable, Hashable {
    /// Made at initdb, the same on every physical copy of the cluster.
    public let systemID: UInt64
    /// The timeline that the server writes; on one in recovery, the one it replays.
    public let timeline: UInt32
    /// How far the server's own WAL is flushed.
    public let flushLSN: LSN
    public let database: String

    public init(systemID: UInt64, timeline: UInt32, flushLSN: LSN, database: String) {
        self.systemID = systemID
        self.timeline = timeline
        self.flushLSN = flushLSN
        self.database = database
    }
}
