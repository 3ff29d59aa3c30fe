import CoreMetrics
import Observing
import Pipeline
import Synchronization

/// What a worker counts, by observer and action.
final class WorkerMeters: Sendable {
    /// Of one action of one observer.
    struct Key: Hashable {
        var observer: String
        var action: String
    }

    struct Counted {
        var processed: Counter
        var failed: Counter
        var retried: Counter
        var duration: CoreMetrics.Timer

        /// Done, after that time since the event came.
        func done(after duration: Duration) {
            processed.increment()
            self.duration.recordNanoseconds(Int64(clamping: Int128(duration / .nanoseconds(1))))
        }
    }

    /// Label of what concerns no observer, or no action.
    static let none = "none"

    private let factory: any MetricsFactory
    private let counted = Mutex<[Key: Counted]>([:])
    private let skipped = Mutex<[String: Counter]>([:])
    private let alerts = Mutex<[String: Counter]>([:])
    private let errors = Mutex<[String: Counter]>([:])
    private let pending: Meter
    private let ackPending: Meter
    private let deadLetters: Meter
    private let inFlight: Meter
    private let isUp: Meter
    private let processorTime: FloatingPointCounter
    private let processorSeconds = Mutex(0.0)
    private let residentMemory: Meter
    private let startTime: Meter
    private let roles: [ObserverStatus.Role: Meter]
    private let breakers = Mutex<[String: Meter]>([:])

    init(_ factory: any MetricsFactory, _ configuration: WorkerConfiguration) {
        self.factory = factory
        func meter(_ name: String, _ dimensions: [(String, String)] = []) -> Meter { Meter(label: name, dimensions: dimensions, factory: factory) }
        pending = meter("slotstream_observer_consumer_pending")
        ackPending = meter("slotstream_observer_consumer_ack_pending")
        deadLetters = meter("slotstream_observer_dead_letters")
        inFlight = meter("slotstream_observer_in_flight_events")
        isUp = meter("slotstream_observer_up")
        processorTime = FloatingPointCounter(label: "process_cpu_seconds_total", dimensions: [], factory: factory)
        residentMemory = meter("process_resident_memory_bytes")
        startTime = meter("process_start_time_seconds")
        roles = Dictionary(
            uniqueKeysWithValues: ObserverStatus.Role.allCases.map { ($0, meter("slotstream_observer_role", [("role", $0.rawValue)])) })
        meter("slotstream_observer_info", [("stream", configuration.stream), ("consumer", configuration.consumer)]).set(1)
        for name in ["slotstream_observer_consumer_pending", "slotstream_observer_consumer_ack_pending", "slotstream_observer_dead_letters"] {
            meter(name).set(Double.nan)
        }
        know(configuration.observers)
    }

    /// Makes the series of these observers, so that a rate has its first point before the first event.
    func know(_ observers: [ObserverDefinition]) {
        _ = counters(Key(observer: Self.none, action: Self.none))
        for observer in observers {
            for action in observer.actions { _ = counters(Key(observer: observer.name, action: action.typeName)) }
            _ = counter(in: skipped, "slotstream_observer_skipped_total", "observer", observer.name)
            _ = counter(in: alerts, "slotstream_observer_alerts_total", "observer", observer.name)
        }
        for kind in ActionFailure.Kind.allCases { _ = counter(in: errors, "slotstream_observer_action_errors_total", "error_type", kind.rawValue) }
    }

    /// The series of one action of one observer: to be kept, for asking takes a lock.
    func counters(_ key: Key) -> Counted {
        counted.withLock { counted in
            if let known = counted[key] { return known }
            let labels = [("observer", key.observer), ("action", key.action)]
            let made = Counted(
                processed: Counter(label: "fraiseql_observer_events_processed_total", dimensions: labels, factory: factory),
                failed: Counter(label: "fraiseql_observer_events_failed_total", dimensions: labels, factory: factory),
                retried: Counter(label: "fraiseql_observer_events_retried_total", dimensions: labels, factory: factory),
                duration: CoreMetrics.Timer(label: "fraiseql_observer_processing_duration_seconds", dimensions: labels, factory: factory))
            counted[key] = made
            return made
        }
    }

    private func counter(in counters: borrowing Mutex<[String: Counter]>, _ name: String, _ label: String, _ value: String) -> Counter {
        counters.withLock { counters in
            if let known = counters[value] { return known }
            let made = Counter(label: name, dimensions: [(label, value)], factory: factory)
            counters[value] = made
            return made
        }
    }

    func attemptFailed(_ kind: ActionFailure.Kind) {
        counter(in: errors, "slotstream_observer_action_errors_total", "error_type", kind.rawValue).increment()
    }

    /// A condition could not be answered.
    func skipped(_ observer: String) { counter(in: skipped, "slotstream_observer_skipped_total", "observer", observer).increment() }

    /// Somebody asked to be told.
    func alerted(_ observer: String) { counter(in: alerts, "slotstream_observer_alerts_total", "observer", observer).increment() }

    /// Called before each scrape.
    func refresh(_ status: ObserverStatus, inFlight count: Int) {
        inFlight.set(Double(count))
        processorSeconds.withLock { known in
            let now = ProcessUsage.processorSeconds
            processorTime.increment(by: max(0, now - known))
            known = now
        }
        residentMemory.set(ProcessUsage.residentByteCount.map { Double($0) } ?? .nan)
        startTime.set(ProcessUsage.startSeconds ?? .nan)
        isUp.set(status.isConnected ? 1 : 0)
        for (role, meter) in roles { meter.set(role == status.role ? 1 : 0) }
        pending.set(status.consumer.pending.map { Double($0) } ?? .nan)
        ackPending.set(status.consumer.ackPending.map { Double($0) } ?? .nan)
        deadLetters.set(status.deadLetters.messages.map { Double($0) } ?? .nan)
        let open = Set(status.breakers)
        breakers.withLock { meters in
            for host in open where meters[host] == nil {
                meters[host] = Meter(label: "slotstream_observer_breaker_open", dimensions: [("host", host)], factory: factory)
            }
            for (host, meter) in meters { meter.set(open.contains(host) ? 1 : 0) }
        }
    }
}
