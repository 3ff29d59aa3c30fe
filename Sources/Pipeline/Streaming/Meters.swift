import Capture
import History
import Metrics

/// Why the stream's end was read again.
enum ResynchronisationCause: String, CaseIterable, Sendable {
    case start
    case refused
    case duplicate
    case unexpectedSequence = "unexpected_sequence"
    case noResponders = "no_responders"
    case ackTimeout = "ack_timeout"
    case reconnected
    case publishFailed = "publish_failed"
    case malformedAck = "malformed_ack"
}

/// The series of contract and page, by their names. Those with closed label sets exist from the start at 0.
struct Meters: Sendable {
    let processed: Counter
    let retried: Counter
    let duration: Recorder
    let lagBytes: Gauge
    let lagSeconds: Gauge
    let slotRetainedBytes: Gauge
    let slotSafeBytes: Gauge
    let slotActive: Gauge
    let confirmedLSN: Gauge
    let receivedLSN: Gauge
    let transactions: Counter
    let unknownTypeValues: Counter
    let uncastValues: Counter
    let strays: Counter
    let strayAborts: Counter
    let inFlightMessages: Gauge
    let inFlightBytes: Gauge
    let up: Gauge
    let windowSeconds: Gauge
    let windowBytes: Gauge
    let anchorMoves: Counter
    let anchorSeconds: FloatingPointCounter
    let tailRepairs: Counter
    private let resynchronisations: [ResynchronisationCause: Counter]
    private let references: Counter
    private let quarantined: Counter
    private let skipped: Counter
    private let reconnects: [Peer: Counter]
    private let failures: [EventFailure: Counter]
    private let factory: any MetricsFactory

    init(factory: any MetricsFactory) {
        self.factory = factory
        func counter(_ label: String, _ dimensions: [(String, String)] = []) -> Counter {
            Counter(label: label, dimensions: dimensions, factory: factory)
        }
        func gauge(_ label: String) -> Gauge { Gauge(label: label, dimensions: [], factory: factory) }
        processed = counter("fraiseql_observer_events_processed_total")
        retried = counter("fraiseql_observer_events_retried_total")
        duration = Recorder(
            label: "fraiseql_observer_processing_duration_seconds", dimensions: [], aggregate: true, factory: factory)
        lagBytes = gauge("slotstream_source_lag_bytes")
        lagSeconds = gauge("slotstream_source_lag_seconds")
        slotRetainedBytes = gauge("slotstream_slot_retained_bytes")
        slotSafeBytes = gauge("slotstream_slot_safe_bytes")
        slotActive = gauge("slotstream_slot_active")
        confirmedLSN = gauge("slotstream_confirmed_lsn")
        receivedLSN = gauge("slotstream_received_lsn")
        transactions = counter("slotstream_transactions_total")
        unknownTypeValues = counter("slotstream_unknown_type_values_total")
        uncastValues = counter("slotstream_uncast_values_total")
        strays = counter("slotstream_strays_total")
        strayAborts = counter("slotstream_stray_stream_aborts_total")
        inFlightMessages = gauge("slotstream_inflight_messages")
        inFlightBytes = gauge("slotstream_inflight_bytes")
        up = gauge("slotstream_up")
        windowSeconds = gauge("slotstream_replay_window_seconds")
        windowBytes = gauge("slotstream_replay_window_bytes")
        anchorMoves = counter("slotstream_replay_window_moves_total")
        anchorSeconds = FloatingPointCounter(
            label: "slotstream_replay_window_move_seconds_total", dimensions: [], factory: factory)
        tailRepairs = counter("slotstream_tail_repairs_total")
        resynchronisations = Dictionary(
            uniqueKeysWithValues: ResynchronisationCause.allCases.map {
                ($0, counter("slotstream_resynchronisations_total", [("cause", $0.rawValue)]))
            })
        references = counter("slotstream_poison_events_total", [("outcome", "reference")])
        quarantined = counter("slotstream_poison_events_total", [("outcome", "quarantine")])
        skipped = counter("slotstream_poison_events_total", [("outcome", "skip")])
        reconnects = Dictionary(
            uniqueKeysWithValues: Peer.allCases.map { ($0, counter("slotstream_reconnects_total", [("peer", $0.rawValue)])) })
        failures = Dictionary(
            uniqueKeysWithValues: EventFailure.allCases.map {
                ($0, counter("fraiseql_observer_events_failed_total", [("reason", $0.rawValue)]))
            })
        Gauge(
            label: "slotstream_build_info", dimensions: [("version", Slotstream.version)], factory: factory
        ).record(1)
    }

    func resynchronised(_ cause: ResynchronisationCause) { resynchronisations[cause]?.increment() }

    func reconnecting(to peer: Peer) { reconnects[peer]?.increment() }

    func failed(_ failure: EventFailure) { failures[failure]?.increment() }

    /// Changes that could not be events were published otherwise, or passed over.
    func poisoned(references referenceCount: Int64, quarantined quarantinedCount: Int64, skipped skippedCount: Int64) {
        references.increment(by: referenceCount)
        quarantined.increment(by: quarantinedCount)
        skipped.increment(by: skippedCount)
        failures[.poisonEvent]?.increment(by: referenceCount + quarantinedCount + skippedCount)
    }

    func events(of kind: EventKind) -> Counter {
        Counter(
            label: "slotstream_events_total", dimensions: [("entity", kind.entity), ("operation", kind.operation)],
            factory: factory)
    }
}
