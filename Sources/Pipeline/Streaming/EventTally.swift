import Capture
import CoreMetrics
import Synchronization

/// How many events of each kind were stored, until they are counted where metrics are.
struct EventTally {
    private var counters: [Counter] = []
    private var tallies: [Int64] = []

    /// One of this kind was stored.
    mutating func count(kind: Int) {
        while tallies.count <= kind { tallies.append(0) }
        tallies[kind] += 1
    }

    /// Hands the tallies on. A kind is announced by the other thread just after its first event: until then its tally waits.
    mutating func handOn(to observations: Observations) {
        if counters.count < tallies.count {
            let kinds = observations.texts.withLock { $0.eventKinds }
            while counters.count < kinds.count { counters.append(observations.meters.events(of: kinds[counters.count])) }
        }
        for kind in 0..<min(counters.count, tallies.count) where tallies[kind] > 0 {
            counters[kind].increment(by: tallies[kind])
            tallies[kind] = 0
        }
    }
}
