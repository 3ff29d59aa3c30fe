import CoreMetrics
import History
import Metrics
import Synchronization

/// The series of what a streamer is and sees beside its work: its role, its connections, the stream and its consumers, its own process.
///
/// Most of them are there only while their value is known.
final class WatchMeters: Sendable {
    /// A value of a series.
    struct Sample: Sendable {
        var name: String
        var labels: [(String, String)]
        var value: Double
    }

    /// The samples of one moment.
    struct Samples {
        private(set) var all: [Sample] = []

        /// Adds one; nil: its value is not known, and there is none.
        mutating func add(_ name: String, _ value: Double?, labels: [(String, String)] = []) {
            if let value { all.append(Sample(name: name, labels: labels, value: value)) }
        }
    }

    private struct State {
        /// Those that are there, by name and labels.
        var shown: [String: Gauge] = [:]
        var processorSeconds = 0.0
    }

    private let factory: any MetricsFactory
    private let roles: [StreamerStatus.Role: Gauge]
    private let connections: [Peer: Gauge]
    private let processor: FloatingPointCounter
    private let state = Mutex(State())

    init(factory: any MetricsFactory) {
        self.factory = factory
        roles = Dictionary(
            uniqueKeysWithValues: StreamerStatus.Role.allCases.map {
                ($0, Gauge(label: "slotstream_role", dimensions: [("role", $0.rawValue)], factory: factory))
            })
        connections = Dictionary(
            uniqueKeysWithValues: Peer.allCases.map {
                ($0, Gauge(label: "slotstream_connected", dimensions: [("peer", $0.rawValue)], factory: factory))
            })
        processor = FloatingPointCounter(label: "process_cpu_seconds_total", dimensions: [], factory: factory)
    }

    /// What a streamer is now, and to whom it is connected.
    func show(role: StreamerStatus.Role, isConnected: [Peer: Bool]) {
        for (each, gauge) in roles { gauge.record(each == role ? 1 : 0) }
        for (peer, gauge) in connections { gauge.record(isConnected[peer] == true ? 1 : 0) }
    }

    /// What the process has used of processors since its start.
    func show(processorSeconds: Double) {
        let used = state.withLock { state in
            defer { state.processorSeconds = max(state.processorSeconds, processorSeconds) }
            return processorSeconds - state.processorSeconds
        }
        processor.increment(by: used)
    }

    /// These are there from now on, and none of those that were.
    func show(_ samples: [Sample]) {
        state.withLock { state in
            var shown: [String: Gauge] = [:]
            for sample in samples {
                let key = "\(sample.name) \(sample.labels)"
                let gauge = state.shown[key] ?? Gauge(label: sample.name, dimensions: sample.labels, factory: factory)
                gauge.record(sample.value)
                shown[key] = gauge
            }
            for (key, gauge) in state.shown where shown[key] == nil { gauge.destroy() }
            state.shown = shown
        }
    }
}
