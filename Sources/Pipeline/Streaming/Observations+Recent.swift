import Capture
import History
import PostgresReplication
import Synchronization
import Threads
import WAL

/// What happened lately, for the page.
extension Observations {
    /// Between two samples.
    package static var sampleInterval: Duration { LastHour.interval }
    /// Samples from one line of the progress log to the next.
    package static var sampleCountPerLine: Int { LastHour.sampleCountPerLine }

    /// Takes a sample; to be called at even intervals.
    package func sample() { sample(at: .now) }

    /// As `sample()`, at `now`.
    func sample(at now: Instant) {
        let texts = texts.withLock { $0 }
        let sample = LastHour.Sample(
            lagSeconds: lagSeconds(at: now), lagBytes: lagByteCount(texts), retainedBytes: texts.slot?.retainedByteCount, eventsPerSecond: 0)
        let times = storedMemory.withLock { $0.times }
        lastHour.withLock {
            $0.take(
                sample, eventCount: eventCount.load(ordering: .relaxed), times: times, at: now, wallClock: .now)
        }
    }

    /// The object of `GET /recent`.
    package func recentActivity() -> RecentActivity {
        let (samples, takenAt) = lastHour.withLock { ($0.samples, $0.takenAt) }
        let (kinds, errors, lastStop) = texts.withLock { ($0.eventKinds, $0.troubles, $0.lastStop) }
        let stored = storedMemory.withLock { $0.latest.inOrder }
        return RecentActivity(
            at: takenAt?.description, intervalSeconds: LastHour.interval.seconds,
            lagSeconds: samples.map { $0.lagSeconds.map(Self.thousandths) }, lagBytes: samples.map(\.lagBytes),
            retainedBytes: samples.map(\.retainedBytes), eventsPerSecond: samples.map { Self.thousandths($0.eventsPerSecond) },
            storedP99Seconds: samples.map(\.storedP99),
            events: stored.reversed().compactMap { event in
                // Announced by the other thread just after its first event.
                guard kinds.indices.contains(event.kind) else { return nil }
                return RecentActivity.StoredEvent(
                    entity: kinds[event.kind].entity, operation: kinds[event.kind].operation, id: event.id.description,
                    sequence: event.sequence, committedAt: event.committedAt.description)
            },
            errors: errors.inOrder.reversed(),
            lastStop: lastStop.map { StreamerStatus.LastError(reason: $0.reason, at: $0.at, message: $0.message) })
    }

    /// What is shown needs no more.
    private static func thousandths(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }
}
