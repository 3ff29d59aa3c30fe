import CoreMetrics
import FoundationEssentials
import History
import JetStreamPublishing
import Synchronization
import Testing
import Threads
import WAL

@testable import Operations
@testable import Pipeline

@Suite struct SlotstreamMetricsTests {
    /// Every metric that users are promised, with its kind.
    static let promised: [String: String] = [
        "fraiseql_observer_events_processed_total": "counter",
        "fraiseql_observer_events_failed_total": "counter",
        "fraiseql_observer_events_retried_total": "counter",
        "fraiseql_observer_processing_duration_seconds": "histogram",
        "slotstream_source_lag_bytes": "gauge",
        "slotstream_source_lag_seconds": "gauge",
        "slotstream_slot_retained_bytes": "gauge",
        "slotstream_slot_safe_bytes": "gauge",
        "slotstream_slot_active": "gauge",
        "slotstream_confirmed_lsn": "gauge",
        "slotstream_received_lsn": "gauge",
        "slotstream_transactions_total": "counter",
        "slotstream_uncast_values_total": "counter",
        "slotstream_unknown_type_values_total": "counter",
        "slotstream_log_lines_dropped_total": "counter",
        "slotstream_stray_stream_aborts_total": "counter",
        "slotstream_events_total": "counter",
        "slotstream_inflight_messages": "gauge",
        "slotstream_inflight_bytes": "gauge",
        "slotstream_resynchronisations_total": "counter",
        "slotstream_reconnects_total": "counter",
        "slotstream_strays_total": "counter",
        "slotstream_poison_events_total": "counter",
        "slotstream_up": "gauge",
        "slotstream_build_info": "gauge",
        "slotstream_info": "gauge",
        "slotstream_role": "gauge",
        "slotstream_connected": "gauge",
        "slotstream_checkpoint_age_seconds": "gauge",
        "slotstream_stream_bytes": "gauge",
        "slotstream_stream_messages": "gauge",
        "slotstream_stream_first_sequence": "gauge",
        "slotstream_stream_last_sequence": "gauge",
        "slotstream_stream_max_bytes": "gauge",
        "slotstream_stream_max_messages": "gauge",
        "slotstream_stream_max_age_seconds": "gauge",
        "slotstream_stream_consumers": "gauge",
        "slotstream_stream_markers": "gauge",
        "slotstream_consumer_pending": "gauge",
        "slotstream_consumer_ack_pending": "gauge",
        "slotstream_consumer_ack_floor": "gauge",
        "slotstream_consumer_retention_left_ratio": "gauge",
        "slotstream_backfill_state": "gauge",
        "slotstream_backfill_rows": "gauge",
        "slotstream_backfill_done_ratio": "gauge",
        "slotstream_replay_window_seconds": "gauge",
        "slotstream_replay_window_bytes": "gauge",
        "slotstream_replay_window_moves_total": "counter",
        "slotstream_replay_window_move_seconds_total": "counter",
        "slotstream_tail_repairs_total": "counter",
        "slotstream_last_stop_timestamp_seconds": "gauge",
        "process_cpu_seconds_total": "counter",
        "process_resident_memory_bytes": "gauge",
        "process_start_time_seconds": "gauge",
    ]

    /// What JetStream said: a stream without limits but of size, and a consumer.
    static func facts(consumers: [String] = ["c"], at: Instant = .now) throws -> StreamFacts {
        let info = try JSONDecoder().decode(
            StreamInfo.self,
            from: Data(
                #"{"config":{"name":"n","max_bytes":1000},"created":"","state":{"messages":4,"bytes":100,"first_seq":7,"last_seq":10}}"#.utf8))
        var facts = StreamFacts(info, at: at)
        facts.consumers = try consumers.map { name in
            let consumer = try JSONDecoder().decode(
                ConsumerInfo.self,
                from: Data(
                    #"{"name":"\#(name)","config":{"durable_name":"\#(name)"},"num_pending":2,"num_ack_pending":1,"delivered":{"stream_seq":8},"ack_floor":{"stream_seq":7}}"#
                        .utf8))
            return ConsumerStanding(consumer, oldestUnread: 8, StreamRetention(info, now: PostgresTimestamp(0)))
        }
        facts.consumerCount = consumers.count
        facts.markerCounts = ["GAP": 1, "SKIP": 0]
        return facts
    }

    static let stop = LastStop(
        slot: "s", reason: .slotMissing, at: "2026-11-23T07:09:12.500000+00:00", message: "m", remedy: "r", eventsPerSecond: nil, version: "9")

    static let backfill = StreamerStatus.Backfill(run: 3, state: "failed", tables: ["public.tb_order"], rows: 500, fraction: 0.25)

    private func scrape(_ observations: Observations, _ registry: PrometheusRegistry) throws -> Scrape {
        observations.refreshMetrics()
        return try Scrape(registry.render())
    }

    @Test func whatIsKnownOfStreamAndConsumersIsThereAndNothingElse() throws {
        let registry = PrometheusRegistry.slotstream()
        let observations = Observations(slot: "s", stream: "n", readyMaxLagBytes: 0, metrics: registry)
        let atFirst = try scrape(observations, registry)
        #expect(atFirst.value("slotstream_info", ["slot": "s", "stream": "n"]) == 1)
        #expect(!atFirst.samples.contains { $0.name.hasPrefix("slotstream_stream_") || $0.name.hasPrefix("slotstream_consumer_") })
        #expect(atFirst.value("slotstream_checkpoint_age_seconds") == nil)

        let facts = try Self.facts(consumers: ["a", "b"])
        observations.texts.withLock { texts in
            texts.database = "shop"
            texts.lastStop = Self.stop
            texts.streamFacts = facts
        }
        observations.recorded(at: .now)
        let known = try scrape(observations, registry)
        #expect(known.value("slotstream_last_stop_timestamp_seconds", ["reason": "slot_missing"]) == 1_795_417_752.5)
        // It changes its labels, and is there once.
        #expect(known.samples.filter { $0.name == "slotstream_info" }.map(\.labels) == [["slot": "s", "stream": "n", "database": "shop"]])
        #expect(known.value("slotstream_stream_bytes") == 100 && known.value("slotstream_stream_first_sequence") == 7)
        #expect(known.value("slotstream_stream_max_bytes") == 1000 && known.value("slotstream_stream_max_age_seconds") == .infinity)
        #expect(known.value("slotstream_stream_markers", ["kind": "gap"]) == 1)
        for name in ["a", "b"] {
            #expect(known.value("slotstream_consumer_pending", ["consumer": name]) == 2)
            #expect(known.value("slotstream_consumer_ack_floor", ["consumer": name]) == 7)
            #expect(known.value("slotstream_consumer_retention_left_ratio", ["consumer": name]) == 1 - 0.075)
        }
        #expect(known.value("slotstream_checkpoint_age_seconds").map { $0 >= 0 && $0 < 60 } == true)

        // One consumer is gone.
        let fewer = try Self.facts(consumers: ["b"])
        observations.texts.withLock { $0.streamFacts = fewer }
        let later = try scrape(observations, registry)
        #expect(later.samples.filter { $0.name == "slotstream_consumer_pending" }.map(\.labels) == [["consumer": "b"]])
        // And then nobody has looked for a while, or another streamer has the slot.
        let old = try Self.facts(at: Instant(nanoseconds: 0))
        observations.texts.withLock { $0.streamFacts = old }
        #expect(try !scrape(observations, registry).samples.contains { $0.name.hasPrefix("slotstream_stream_") })
        _ = observations.disconnected(by: .slotActive(nil), isStandingBy: true)
        let atLast = try scrape(observations, registry)
        #expect(atLast.value("slotstream_checkpoint_age_seconds") == nil)
        #expect(atLast.value("slotstream_role", ["role": "standby"]) == 1 && atLast.value("slotstream_role", ["role": "active"]) == 0)
    }

    @Test func aBackfillIsToldWhileItIsUnderWayAndNotByAStandby() throws {
        let registry = PrometheusRegistry.slotstream()
        let observations = Observations(slot: "s", stream: "n", readyMaxLagBytes: 0, metrics: registry)
        #expect(try !scrape(observations, registry).samples.contains { $0.name.hasPrefix("slotstream_backfill_") })
        observations.texts.withLock { $0.backfill = Self.backfill }
        let known = try scrape(observations, registry)
        #expect(known.value("slotstream_backfill_rows") == 500 && known.value("slotstream_backfill_done_ratio") == 0.25)
        for (state, value) in ["preparing": 0.0, "walking": 0, "paused": 0, "failed": 1] {
            #expect(known.value("slotstream_backfill_state", ["state": state]) == value)
        }
        #expect(known.samples.filter { $0.name == "slotstream_backfill_state" }.count == 4)
        _ = observations.disconnected(by: .slotActive(nil), isStandingBy: true)
        #expect(try !scrape(observations, registry).samples.contains { $0.name.hasPrefix("slotstream_backfill_") })
        #expect(observations.status().backfill == nil)
    }

    @Test func theProcessIsToldAsTheKernelSeesIt() throws {
        let registry = PrometheusRegistry.slotstream()
        let observations = Observations(slot: "s", stream: "n", readyMaxLagBytes: 0, metrics: registry)
        let first = try #require(try scrape(observations, registry).value("process_cpu_seconds_total"))
        let second = try scrape(observations, registry)
        #expect(first > 0 && second.value("process_cpu_seconds_total").map { $0 >= first } == true)
        #expect(second.value("process_resident_memory_bytes").map { $0 > 1_000_000 } == true)
        let started = try #require(second.value("process_start_time_seconds"))
        #expect((-3600...1).contains(started - Double(PostgresTimestamp.now.unixMicroseconds) / 1e6))
    }

    @Test func explainsEveryPromisedMetric() throws {
        let registry = PrometheusRegistry.slotstream()
        for (name, kind) in Self.promised {
            switch kind {
            case "counter": _ = registry.makeCounter(label: name, dimensions: [])
            case "gauge": _ = registry.makeMeter(label: name, dimensions: [])
            default: _ = registry.makeTimer(label: name, dimensions: [])
            }
        }
        let scrape = try Scrape(registry.render())
        #expect(scrape.kinds == Self.promised)
        #expect(Set(scrape.helps.keys) == Set(Self.promised.keys))
    }

    @Test func helpsWithEverySeriesThatTheStreamerMakesAndWithNoOther() throws {
        let registry = PrometheusRegistry.slotstream()
        let observations = Observations(slot: "s", stream: "n", readyMaxLagBytes: 0, metrics: registry)
        let facts = try Self.facts()
        observations.texts.withLock { texts in
            texts.streamFacts = facts
            texts.lastStop = Self.stop
            texts.backfill = Self.backfill
        }
        observations.recorded(at: .now)
        observations.refreshMetrics()
        let scrape = try Scrape(registry.render())
        #expect(Set(scrape.helps.keys) == Set(scrape.kinds.keys))
        // The one whose labels are known with the first event.
        #expect(Set(scrape.kinds.keys).union(["slotstream_events_total"]) == PrometheusRegistry.helpedNames)
    }

    @Test func countsTheProcessingDurationInThePromisedBuckets() throws {
        let registry = PrometheusRegistry.slotstream()
        registry.makeTimer(label: "fraiseql_observer_processing_duration_seconds", dimensions: [])
            .recordNanoseconds(2_000_000)
        let buckets = try Scrape(registry.render()).samples
            .filter { $0.name == "fraiseql_observer_processing_duration_seconds_bucket" }
        #expect(
            buckets.compactMap { $0.labels["le"] } == [
                "0.0005", "0.001", "0.002", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "10",
                "60", "600", "3600", "+Inf",
            ])
        #expect(buckets.map(\.value) == [0, 0] + Array(repeating: 1, count: 15))
    }

    @Test func beginsAtZeroWhereThereAreNoLabels() throws {
        let scrape = try Scrape(PrometheusRegistry.slotstream().render())
        for sample in scrape.samples where scrape.kinds[sample.name] == "counter" { #expect(sample.value == 0) }
        #expect(scrape.kinds.values.filter { $0 == "counter" }.count == 7)
        #expect(scrape.value("fraiseql_observer_processing_duration_seconds_count") == 0)
        #expect(scrape.value("slotstream_build_info", ["version": Slotstream.version]) == 1)
    }
}
