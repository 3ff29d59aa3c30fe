/// Where a message of ours stands among all others of the stream: by its position, and of those behind one position by their runs and their numbers in them.
public struct StreamOrder: Hashable, Comparable, Sendable {
    public var position: Position
    /// 0: it is the event at the position.
    public var run: UInt64
    public var count: UInt64

    public init(_ position: Position, run: UInt64 = 0, count: UInt64 = 0) {
        self.position = position
        self.run = run
        self.count = count
    }

    /// Whether it is of a backfill, and no event.
    public var isOfBackfill: Bool { run > 0 }

    public static func < (lhs: StreamOrder, rhs: StreamOrder) -> Bool {
        if lhs.position != rhs.position { return lhs.position < rhs.position }
        return (lhs.run, lhs.count) < (rhs.run, rhs.count)
    }
}

extension MessageID {
    /// Where the message stands; of a marker or a late event, where the event stands that it is behind.
    public var order: StreamOrder {
        guard let place = backfillPlace else { return StreamOrder(position) }
        return StreamOrder(position, run: place.run, count: place.count)
    }
}
