/// Which timeline each stretch of a server's write-ahead log belongs to.
///
/// A promotion begins a new timeline at its switch point: WAL from there on is written under the new number, and what
/// another server wrote under the old number beyond that point is not part of this server's history.
public struct TimelineHistory: Hashable, Sendable {
    /// A timeline that ended, and where.
    public struct Entry: Hashable, Sendable {
        public let timeline: UInt32
        /// The first position that no longer belongs to `timeline`.
        public let switchPoint: LSN

        public init(timeline: UInt32, switchPoint: LSN) {
            self.timeline = timeline
            self.switchPoint = switchPoint
        }
    }

    /// The timeline that the server writes now.
    public let currentTimeline: UInt32
    /// The current timeline's ancestors, oldest first; empty on a timeline that was never branched off.
    public let ancestors: [Entry]

    /// A history without ancestors: a server that was never promoted nor recovered to a point in time.
    public init(currentTimeline: UInt32) {
        self.currentTimeline = currentTimeline
        self.ancestors = []
    }

    /// Reads the text of a history file, as `TIMELINE_HISTORY` and `pg_wal/0000000N.history` hold it.
    ///
    /// Shape: a line an ancestor, oldest first: `timeline`, switch point and a free-text reason, parted by blanks; empty
    /// lines and lines that begin with `#` say nothing. Nil if a line reads otherwise, if the timelines do not ascend
    /// up to below `currentTimeline`, or if a switch point lies before the one above it.
    /// Source: PostgreSQL, `readTimeLineHistory` in timeline.c.
    public init?(currentTimeline: UInt32, text: String) {
        var ancestors: [Entry] = []
        for line in text.split(whereSeparator: \.isNewline) {
            let fields = line.split(maxSplits: 2, whereSeparator: \.isWhitespace)
            guard let first = fields.first, !first.hasPrefix("#") else { continue }
            guard fields.count >= 2, first.allSatisfy(\.isNumber), let timeline = UInt32(first),
                let switchPoint = LSN(String(fields[1])), timeline < currentTimeline
            else { return nil }
            if let previous = ancestors.last {
                guard previous.timeline < timeline, previous.switchPoint <= switchPoint else { return nil }
            }
            ancestors.append(Entry(timeline: timeline, switchPoint: switchPoint))
        }
        self.currentTimeline = currentTimeline
        self.ancestors = ancestors
    }

    /// The timeline on which a record that starts at `commitLSN` lies in this server's history.
    ///
    /// A position at a switch point belongs to the newer timeline.
    public func timeline(containing commitLSN: LSN) -> UInt32 {
        ancestors.first { commitLSN < $0.switchPoint }?.timeline ?? currentTimeline
    }

    /// Where `timeline` ended; nil for the current timeline, and for one that is not in this history.
    public func switchPoint(of timeline: UInt32) -> LSN? {
        ancestors.first { $0.timeline == timeline }?.switchPoint
    }

    /// True for the current timeline and its ancestors: WAL of any other was written by a server with another history.
    public func contains(timeline: UInt32) -> Bool {
        timeline == currentTimeline || switchPoint(of: timeline) != nil
    }
}
