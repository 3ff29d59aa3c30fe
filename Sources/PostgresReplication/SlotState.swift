public import WAL

/// A row of `pg_replication_slots`, with where the server's WAL was at that moment.
///
/// What the server's version does not know is nil.
public struct SlotState: Sendable, Hashable {
    public var name: String
    /// nil for a physical slot.
    public var plugin: String?
    /// `logical` or `physical`.
    public var slotType: String
    public var database: String?
    public var isTemporary: Bool
    public var isActive: Bool
    /// The backend that holds the slot.
    public var activePID: Int32?
    /// The oldest WAL that the slot keeps; nil when it was invalidated.
    public var restartLSN: LSN?
    /// What was confirmed to the server; nil for a physical slot.
    public var confirmedFlushLSN: LSN?
    /// `reserved`, `extended`, `unreserved` or `lost`.
    public var walStatus: String?
    /// How many bytes may yet be written before `max_slot_wal_keep_size` costs the slot; nil without that limit.
    public var safeWALByteCount: Int64?
    public var twoPhase: Bool
    /// PostgreSQL 17: kept up to date on standbys.
    public var failover: Bool?
    /// PostgreSQL 17: a standby's copy of its primary's slot.
    public var synced: Bool?
    /// PostgreSQL 16: invalidated by a conflict with recovery.
    public var conflicting: Bool?
    /// PostgreSQL 17: `wal_removed`, `rows_removed`, `wal_level_insufficient`, `idle_timeout`.
    public var invalidationReason: String?
    /// How far the server has written; in recovery, replayed.
    public var currentWALLSN: LSN
    public var isInRecovery: Bool

    public init(
        name: String, plugin: String? = "pgoutput", slotType: String = "logical", database: String? = nil,
        isTemporary: Bool = false, isActive: Bool = false, activePID: Int32? = nil, restartLSN: LSN? = nil,
        confirmedFlushLSN: LSN? = nil, walStatus: String? = nil, safeWALByteCount: Int64? = nil,
        twoPhase: Bool = false, failover: Bool? = nil, synced: Bool? = nil, conflicting: Bool? = nil,
        invalidationReason: String? = nil, currentWALLSN: LSN = .invalid, isInRecovery: Bool = false
    ) {
        self.name = name
        self.plugin = plugin
        self.slotType = slotType
        self.database = database
        self.isTemporary = isTemporary
        self.isActive = isActive
        self.activePID = activePID
        self.restartLSN = restartLSN
        self.confirmedFlushLSN = confirmedFlushLSN
        self.walStatus = walStatus
        self.safeWALByteCount = safeWALByteCount
        self.twoPhase = twoPhase
        self.failover = failover
        self.synced = synced
        self.conflicting = conflicting
        self.invalidationReason = invalidationReason
        self.currentWALLSN = currentWALLSN
        self.isInRecovery = isInRecovery
    }

    /// How much WAL the server keeps for this slot; nil when the slot was invalidated.
    public var retainedByteCount: UInt64? {
        restartLSN.map { currentWALLSN.byteCount(since: $0) }
    }

    /// The slot can never be read again.
    public var isInvalidated: Bool {
        walStatus == "lost" || invalidationReason != nil || conflicting == true
    }
}
