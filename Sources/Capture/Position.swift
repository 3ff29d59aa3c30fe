public import WAL

/// Where a change stands in the history of a database: its transaction's commit LSN and its place in that transaction.
///
/// Ordinals count the changes of a transaction from 1 in commit order, before any filter of ours. A logical message that belongs to no
/// transaction has ordinal 0 and its own LSN, which can equal the commit LSN of the transaction delivered right after it: it sorts before it.
@frozen
public struct Position: Hashable, Comparable, Sendable {
    /// The LSN at which the commit record starts; a non-transactional message's own LSN.
    public var commitLSN: LSN
    public var ordinal: UInt64

    @inlinable
    public init(commitLSN: LSN, ordinal: UInt64) {
        self.commitLSN = commitLSN
        self.ordinal = ordinal
    }

    @inlinable
    public static func < (lhs: Position, rhs: Position) -> Bool {
        lhs.commitLSN == rhs.commitLSN ? lhs.ordinal < rhs.ordinal : lhs.commitLSN < rhs.commitLSN
    }
}

extension TimelineHistory {
    /// The timeline on which a change lies.
    ///
    /// A message outside transactions has the LSN at which its record ends: one that is the last before a promotion is of the timeline that ended there.
    public func timeline(of position: Position) -> UInt32 {
        let isEnd = position.ordinal == 0 && position.commitLSN > .invalid
        return timeline(containing: isEnd ? LSN(position.commitLSN.rawValue - 1) : position.commitLSN)
    }
}

extension Position: CustomStringConvertible {
    public var description: String { "\(commitLSN) change \(ordinal)" }
}
