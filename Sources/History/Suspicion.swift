package import WAL

/// What a woken old leader could feign is believed only when it was read unchanged for a while, with a majority of the replicas current: `STREAM.MSG.GET` is not linearizable.
package struct Suspicion<Evidence: Equatable> {
    /// How long it is read again, where the stream has replicas.
    package static var time: Duration { .seconds(15) }

    private var last: (evidence: Evidence, since: Instant)?

    package init() {}

    /// Takes in what was read now.
    /// - Returns: Whether it may be believed.
    package mutating func isBelievable(_ evidence: Evidence, isMajorityCurrent: Bool, at now: Instant) -> Bool {
        guard isMajorityCurrent, let last, last.evidence == evidence else {
            last = (evidence, now)
            return false
        }
        return now.duration(since: last.since) >= Self.time
    }
}
