package import WAL

/// What a woken old leader could feign is believed only when it was read unchanged for a while, with a majority of the replicas current: `STREAM.MSG.GET` is not linearizable.
package struct Suspicion<Evidence: Equatable> {
    /// How long it is read again, where the stream has replicas.
    package static var time: Duration { .seconds(15) }

    private var last: (evidence: Evidence, since: Instant)?

    package init() {}

    /// Takes in what was read.
    /// - Parameters:
    ///   - began: When this reading began. A process that was stopped while it read has seen nothing of that time.
    ///   - ended: When it was over.
    /// - Returns: Whether it may be believed.
    package mutating func isBelievable(
        _ evidence: Evidence, isMajorityCurrent: Bool, readFrom began: Instant, to ended: Instant
    ) -> Bool {
        guard isMajorityCurrent, let last, last.evidence == evidence else {
            last = (evidence, ended)
            return false
        }
        return began.duration(since: last.since) >= Self.time
    }
}
