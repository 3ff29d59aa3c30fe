import Synchronization
import WAL

/// Tells an error that passes from one that comes again at the same place, over the sessions of a process.
package final class ObstacleMemory: Sendable {
    /// As often it has to come, without anything new having been sent before it.
    package static let limit = 3

    private struct Last {
        var obstacle: SlotObstacle
        var count: Int
    }

    private let last = Mutex<Last?>(nil)

    package init() {}

    /// Whether retrying is in vain.
    package func isBelieved(_ obstacle: SlotObstacle) -> Bool {
        if obstacle.isCertain { return true }
        return last.withLock { last in
            var count = 1
            if let before = last, before.obstacle.kind == obstacle.kind,
                before.obstacle.progress.transaction == obstacle.progress.transaction,
                before.obstacle.progress.changeCount == obstacle.progress.changeCount,
                before.obstacle.progress.endLSN >= obstacle.progress.endLSN
            {
                count = before.count + 1
            }
            last = Last(obstacle: obstacle, count: count)
            return count >= Self.limit
        }
    }
}
