import Capture
package import WAL

/// A range of events, as an operator names it: by position, by time of commit, or by the sequence in the stream; both ends belong to it.
package struct EventRange: Sendable, Equatable {
    /// One end of it.
    package enum Bound: Sendable, Equatable {
        /// A transaction's commit LSN.
        case lsn(LSN)
        /// A transaction's time of commit.
        case time(PostgresTimestamp)
        /// Of an event in the live stream.
        case sequence(UInt64)
    }

    /// nil: as far back as it can be read.
    package var from: Bound?
    /// nil: up to what is stored when it begins.
    package var to: Bound?

    package init(from: Bound? = nil, to: Bound? = nil) {
        self.from = from
        self.to = to
    }
}

/// The same, once both servers have told where its ends lie.
struct ResolvedRange: Sendable, Equatable {
    /// Nothing before it belongs to the range; `0/0`: not known.
    var fromPosition = Position(commitLSN: .invalid, ordinal: 0)
    /// Nothing behind it does.
    var toPosition = Position(commitLSN: LSN(.max), ordinal: .max)
    var fromTime: PostgresTimestamp?
    var toTime: PostgresTimestamp?

    /// - Parameter commitTimestamp: nil: not known; a bound in time lets it pass.
    func contains(_ position: Position, committedAt commitTimestamp: PostgresTimestamp?) -> Bool {
        guard position >= fromPosition, position <= toPosition else { return false }
        guard let commitTimestamp else { return true }
        return fromTime.map { commitTimestamp >= $0 } ?? true && toTime.map { commitTimestamp <= $0 } ?? true
    }
}
