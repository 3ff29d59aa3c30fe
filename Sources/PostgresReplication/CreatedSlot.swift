public import WAL

/// A slot that CREATE_REPLICATION_SLOT has just made.
public struct CreatedSlot: Sendable, Hashable {
    public let name: String
    /// The first position whose transactions the slot gives whole: every transaction that commits at or after it.
    public let consistentPoint: LSN

    public init(name: String, consistentPoint: LSN) {
        self.name = name
        self.consistentPoint = consistentPoint
    }
}
