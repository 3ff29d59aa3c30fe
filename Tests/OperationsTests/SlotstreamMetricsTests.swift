import CoreMetrics
import Pipeline
import Testing

@testable import Operations

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
    ]

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
