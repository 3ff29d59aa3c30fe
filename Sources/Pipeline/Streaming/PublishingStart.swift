import Capture
import History
import WAL

/// What is known when publishing begins.
struct PublishingStart {
    var known: KnownEnd
    /// Of the newest event behind it that may be a predecessor's; nil: not known.
    var newestCommit: StoredCommit?
    var record: CheckpointRecord
    var revision: UInt64
    var identity: SourceIdentity
    var timelines: TimelineHistory
    var replicaCount: Int
    /// Whether server and stream take atomic batches, and they are asked for.
    var isAtomic = false
    /// nil: it streams.
    var mending: Mending?
}
