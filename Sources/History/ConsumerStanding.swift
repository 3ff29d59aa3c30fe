package import JetStreamPublishing

/// How far a durable consumer of the stream is, and how near to being removed is what it has not read.
package struct ConsumerStanding: Sendable, Equatable {
    /// With less of the retention left than this, what a consumer has not read is about to be removed.
    package static let nearShare = 0.1

    /// The durable name.
    package var name: String
    /// Messages that were not delivered yet.
    package var pendingCount: UInt64
    /// Messages that were delivered and not acknowledged.
    package var ackPendingCount: UInt64
    /// The stream sequence of the last message delivered.
    package var deliveredSequence: UInt64
    /// The stream sequence up to which all is acknowledged.
    package var ackFloorSequence: UInt64
    /// Of the stream's retention, before the oldest message goes that it has not acknowledged; 1: it has acknowledged all. nil: nobody knows.
    package var retentionLeft: Double?

    /// - Parameter oldestUnread: The sequence of the oldest message that it has not acknowledged; nil: nobody knows.
    package init(_ info: ConsumerInfo, oldestUnread: UInt64?, _ retention: StreamRetention) {
        name = info.durableName ?? info.name
        pendingCount = info.pendingCount
        ackPendingCount = info.ackPendingCount
        deliveredSequence = info.deliveredSequence
        ackFloorSequence = info.ackFloorSequence
        retentionLeft = info.isReadUp ? 1 : oldestUnread.map { retention.left(before: $0) }
    }

    /// Messages that it has not acknowledged.
    package var unreadCount: UInt64 { pendingCount &+ ackPendingCount }

    /// Whether the stream is about to remove what it has not read, or has begun to.
    package var isNearEviction: Bool { retentionLeft.map { $0 < Self.nearShare } ?? false }
}

extension ConsumerInfo {
    /// Nothing is there that it has not acknowledged.
    package var isReadUp: Bool { pendingCount == 0 && ackPendingCount == 0 }

    /// Whether it takes every message of a stream that captures `subjects`.
    package func takesAll(of subjects: [String]) -> Bool {
        filterSubjects.isEmpty || filterSubjects.contains(">") || subjects.allSatisfy { filterSubjects.contains($0) }
    }
}
