import Threads

/// What a woken old leader could feign is believed only when it was read unchanged for a while, with a majority of the replicas current: `STREAM.MSG.GET` is not linearizable.
struct Suspicion<Evidence: Equatable> {
    /// How long it is read again, where the stream has replicas.
    static var time: Duration { LongTime.suspicion.duration }

    private var last: (evidence: Evidence, since: Instant)?

    /// Takes in what was read now.
    /// - Returns: Whether it may be believed.
    mutating func isBelievable(_ evidence: Evidence, isMajorityCurrent: Bool, at now: Instant = .now) -> Bool {
        guard isMajorityCurrent, let last, last.evidence == evidence else {
            last = (evidence, now)
            return false
        }
        return now.duration(since: last.since) >= Self.time
    }
}
