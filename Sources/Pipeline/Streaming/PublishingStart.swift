import Capture
package import History
import WAL

/// What is known when publishing begins.
package struct PublishingStart {
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

extension PublishingStart {
    /// Of who streams, once the slot is held and the record is his.
    package init(_ plan: Recovery.Plan, _ owned: Ownership, _ facts: Recovery.Facts) {
        self.init(
            known: plan.known, newestCommit: plan.newestCommit, record: owned.record, revision: owned.revision,
            identity: facts.identity, timelines: facts.timelines, replicaCount: facts.stream?.replicaCount ?? 1)
    }
}
