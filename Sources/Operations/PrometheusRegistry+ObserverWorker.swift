import CoreMetrics
import Pipeline

extension PrometheusRegistry {
    /// A registry that knows the observer worker's own metrics by name. The seed's four have the worker's meaning here.
    package static func observerWorker() -> PrometheusRegistry {
        let registry = PrometheusRegistry(
            help: workerHelpTexts, buckets: ["fraiseql_observer_processing_duration_seconds": processingDurationBuckets])
        for cause in ["failed", "flood", "full"] {
            _ = registry.makeCounter(label: LogQueue.counterName, dimensions: [("cause", cause)])
        }
        registry.makeMeter(label: "slotstream_observer_build_info", dimensions: [("version", Slotstream.version)]).set(1.0)
        return registry
    }

    private static let workerHelpTexts: [String: String] = [
        "fraiseql_observer_events_processed_total":
            "Events for which the action is done, by observer and action; none counts the events that no observer is for.",
        "fraiseql_observer_events_failed_total":
            "Events for which the action failed for good, by observer and action; none counts messages that are no event, and events that used up their deliveries.",
        "fraiseql_observer_events_retried_total":
            "Attempts of an action that failed and are followed by another, by observer and action; none counts events that nats-server delivered again.",
        "fraiseql_observer_processing_duration_seconds": "Time from an event's delivery to the end of the action, by observer and action.",
        "slotstream_observer_consumer_pending": "Messages that the consumer has not delivered yet; NaN while nats-server was not asked.",
        "slotstream_observer_consumer_ack_pending":
            "Messages that were delivered to workers and are not acknowledged; NaN while nats-server was not asked.",
        "slotstream_observer_dead_letters": "Dead letters that are stored; NaN while nats-server was not asked.",
        "slotstream_observer_in_flight_events": "Events that this worker holds.",
        "slotstream_observer_skipped_total": "Events for which the condition of the observer could not be answered.",
        "slotstream_observer_alerts_total": "Events for which the observer failed, and on_failure asks for an alert.",
        "slotstream_observer_action_errors_total": "Attempts that failed, by kind of error.",
        "slotstream_observer_breaker_open": "1 while nothing is sent to the host because the host only fails, else 0.",
        "slotstream_observer_up": "1 while the worker is connected to nats-server, else 0.",
        "slotstream_observer_role": "1 for the role that the worker has now, 0 for the others.",
        "slotstream_observer_build_info": "Always 1; the program's version is a label.",
        "slotstream_observer_info": "Always 1; the labels name stream and consumer.",
        "process_cpu_seconds_total": "User and system time of the process, in seconds.",
        "process_resident_memory_bytes": "Resident memory of the process.",
        "process_start_time_seconds": "Start of the process, in seconds since 1970.",
        LogQueue.counterName: "Log lines that were not written, by cause.",
    ]
}
