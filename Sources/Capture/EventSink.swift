public import WAL

/// What is known of an event besides its bytes.
public struct EventHeader: Sendable, Equatable {
    public var position: Position
    public var transactionID: TransactionID
    /// When the transaction committed; of a non-transactional message, when the server sent it.
    public var commitTimestamp: PostgresTimestamp
    /// Index into `TransactionAssembler.eventKinds`.
    public var kindIndex: Int32
    /// Whether it is the last event of its transaction, or belongs to none.
    public var isLast: Bool
    /// Of a message of a backfill, which stands behind the event at `position`: its run, and its number in that. 0 and 0: it is an event.
    public var run: UInt64
    public var count: UInt64

    public init(
        position: Position, transactionID: TransactionID, commitTimestamp: PostgresTimestamp, kindIndex: Int32,
        isLast: Bool, run: UInt64 = 0, count: UInt64 = 0
    ) {
        self.position = position
        self.transactionID = transactionID
        self.commitTimestamp = commitTimestamp
        self.kindIndex = kindIndex
        self.isLast = isLast
        self.run = run
        self.count = count
    }

    /// Where it stands among all that is stored.
    public var order: StreamOrder { StreamOrder(position, run: run, count: count) }
}

/// Takes finished events, in the order in which they are to be stored.
public protocol EventSink: ~Copyable {
    /// The spans are valid during the call: what is kept is copied.
    mutating func accept(_ header: EventHeader, subject: RawSpan, messageID: RawSpan, payload: RawSpan)
}

/// An entity and an operation, by which stored events are counted.
public struct EventKind: Hashable, Sendable {
    public var entity: String
    public var operation: String

    public init(entity: String, operation: String) {
        self.entity = entity
        self.operation = operation
    }
}
