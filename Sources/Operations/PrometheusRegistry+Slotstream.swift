import CoreMetrics
import Pipeline

extension PrometheusRegistry {
    /// The bounds, in seconds, of the time from a commit to its event's acknowledgement.
    ///
    /// Half a millisecond is a fast server on the same machine; the last three are outages, whose backlog must not all
    /// fall into `+Inf`.
    package static let processingDurationBuckets: [Double] = [
        0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600, 3600,
    ]

    /// A registry that knows the streamer's own metrics by name.
    ///
    /// Counters and the histogram without labels are there at once, so that a rate has its first point before the first
    /// event, and so is `slotstream_build_info`. All else is made by whoever sets it and knows its labels.
    package static func slotstream() -> PrometheusRegistry {
        let registry = PrometheusRegistry(
            help: helpTexts,
            buckets: ["fraiseql_observer_processing_duration_seconds": processingDurationBuckets])
        for name in [
            "fraiseql_observer_events_processed_total", "fraiseql_observer_events_retried_total",
            "slotstream_transactions_total", "slotstream_uncast_values_total", "slotstream_unknown_type_values_total",
            "slotstream_stray_stream_aborts_total",
        ] {
            _ = registry.makeCounter(label: name, dimensions: [])
        }
        for cause in ["failed", "flood", "full"] {
            _ = registry.makeCounter(label: LogQueue.counterName, dimensions: [("cause", cause)])
        }
        _ = registry.makeTimer(label: "fraiseql_observer_processing_duration_seconds", dimensions: [])
        registry.makeMeter(label: "slotstream_build_info", dimensions: [("version", Slotstream.version)]).set(1.0)
        return registry
    }

    /// The metrics that have a help text.
    static var helpedNames: Set<String> { Set(helpTexts.keys) }

    private static let helpTexts: [String: String] = [
        "fraiseql_observer_events_processed_total": "Events stored in the stream and acknowledged.",
        "fraiseql_observer_events_failed_total":
            "Events that could not be published as they are, by reason, counted at once; an event that is refused again counts again.",
        "fraiseql_observer_events_retried_total": "Events sent again after a resynchronisation.",
        "fraiseql_observer_processing_duration_seconds":
            "Time from a transaction's commit to its event's acknowledgement.",
        "slotstream_source_lag_bytes":
            "WAL that the server has and that is not yet known to be stored in the stream; NaN while PostgreSQL cannot be asked.",
        "slotstream_source_lag_seconds":
            "Age of the oldest committed change not yet stored; 0 when there is none; NaN when the age is not known. At a start, until PostgreSQL has sent the first change, the age of the newest change that is stored.",
        "slotstream_slot_retained_bytes": "WAL that the server keeps because of the slot; NaN while PostgreSQL cannot be asked.",
        "slotstream_slot_safe_bytes":
            "WAL that can still be written before the server invalidates the slot; +Inf without such a limit; NaN while PostgreSQL cannot be asked.",
        "slotstream_slot_active": "1 when this streamer holds the slot, else 0, also while another one does.",
        "slotstream_strays_total": "Messages of somebody else found in the stream.",
        "slotstream_confirmed_lsn": "Position confirmed to the server, as a number; NaN before the position is known.",
        "slotstream_received_lsn": "Position received from the server, as a number; NaN while nothing was received.",
        "slotstream_transactions_total": "Transactions received whole; those that come again after a reconnect count again.",
        "slotstream_uncast_values_total":
            "Values published as text because their type's cast to json is not called, or failed.",
        "slotstream_unknown_type_values_total":
            "Values published as text because the catalogue no longer knows their type, or cannot show their type yet.",
        LogQueue.counterName: "Log lines that were not written, by cause.",
        "slotstream_stray_stream_aborts_total":
            "Stream Aborts of PostgreSQL 18 for transactions that were never sent; they mean nothing.",
        "slotstream_poison_events_total":
            "Changes that cannot be events, published otherwise or passed over on purpose, by outcome; those that come again after a reconnect count again.",
        "slotstream_events_total": "Events stored, by entity and operation; entities beyond the first 300 are counted as other.",
        "slotstream_inflight_messages": "Events handed to the NATS client and not yet acknowledged.",
        "slotstream_inflight_bytes": "Bytes of all events held until they are known to be stored.",
        "slotstream_resynchronisations_total": "Times that publishing stopped to read the stream's end, by cause.",
        "slotstream_reconnects_total":
            "Attempts at a connection that had failed or was lost, by peer, counted when they begin; of a session's connection to nats, which its client makes anew by itself, one for each loss.",
        "slotstream_up": "1 when both servers are connected, else 0.",
        "slotstream_build_info": "Always 1; the program's version is a label.",
        "slotstream_info": "Always 1; the labels name slot and stream, and database and system once they are known.",
        "slotstream_role": "1 for the role that the streamer has now, 0 for the others.",
        "slotstream_connected":
            "1 while this streamer is connected to the server, else 0; to nats only while the streamer streams, and not while the streamer reads the stream's end again.",
        "slotstream_checkpoint_age_seconds":
            "Time since this streamer stored the checkpoint record; the age grows while there is nothing to record. Absent on a standby.",
        "slotstream_stream_bytes": "Size of the stream in nats-server's store.",
        "slotstream_stream_messages": "Messages in the stream.",
        "slotstream_stream_first_sequence": "Sequence of the oldest message in the stream.",
        "slotstream_stream_last_sequence": "Sequence of the newest message that the stream ever had.",
        "slotstream_stream_max_bytes": "Size from which the oldest messages go; +Inf without such a limit.",
        "slotstream_stream_max_messages": "Number of messages from which the oldest go; +Inf without such a limit.",
        "slotstream_stream_max_age_seconds": "Age from which messages go; +Inf without such a limit.",
        "slotstream_stream_consumers": "Consumers of the stream, durable or not.",
        "slotstream_stream_markers":
            "Messages of Slotstream's own in the stream, by kind; poison are the events in quarantine. Counted once a minute on nats-server 2.10 and newer.",
        "slotstream_backfill_state": "1 for the state of the backfill under way, 0 for the others; absent while none is.",
        "slotstream_backfill_rows": "Rows that the backfill under way has put into the stream.",
        "slotstream_backfill_done_ratio": "Share of the tables' pages that the backfill under way has read.",
        "slotstream_consumer_pending": "Messages that were not delivered to the durable consumer yet; of the first 50 consumers by name.",
        "slotstream_consumer_ack_pending": "Messages that were delivered to the durable consumer and are not acknowledged.",
        "slotstream_consumer_ack_floor": "Stream sequence up to which the durable consumer has acknowledged everything.",
        "slotstream_consumer_retention_left_ratio":
            "Share of the stream's retention that is left before the oldest event goes that the durable consumer has not acknowledged; 1 when there is none.",
        "slotstream_replay_window_seconds": "How far back the replay window reaches; NaN while that is not known, or without a window.",
        "slotstream_replay_window_bytes": "WAL that PostgreSQL keeps for the replay window; NaN while that is not known, or without a window.",
        "slotstream_replay_window_moves_total": "Times that the anchor slot of the replay window was moved.",
        "slotstream_replay_window_move_seconds_total": "Time that PostgreSQL read WAL for to move the anchor slot.",
        "slotstream_tail_repairs_total": "Times that the lost tail of the stream was stored again from the replay window.",
        "slotstream_last_stop_timestamp_seconds":
            "When a streamer of this slot stopped last for a reason that only an operator can mend, in seconds since 1970; absent when none has.",
        "process_cpu_seconds_total": "User and system time of the process, in seconds.",
        "process_resident_memory_bytes": "Resident memory of the process.",
        "process_start_time_seconds": "Start of the process, in seconds since 1970.",
    ]
}
