import CoreMetrics
import Synchronization

/// A value that goes up and down: a meter, or a recorder that does not aggregate. 0 until it is first set.
final class GaugeSeries: MetricSeries, MeterHandler, RecorderHandler {
    let name: String
    let labels: String
    private let value = Atomic<Double>(0)

    init(name: String, labels: String) {
        self.name = name
        self.labels = labels
    }

    /// Exact up to 2^53 either way; Prometheus itself keeps no more.
    func set(_ value: Int64) {
        self.value.store(Double(value), ordering: .relaxed)
    }

    /// Any value, also `NaN` and the infinities: Prometheus knows them.
    func set(_ value: Double) {
        self.value.store(value, ordering: .relaxed)
    }

    /// Adds; an amount that is not finite is ignored, because the gauge could never leave it again.
    func increment(by amount: Double) {
        guard amount.isFinite else { return }
        value.add(amount)
    }

    /// Subtracts; an amount that is not finite is ignored.
    func decrement(by amount: Double) {
        increment(by: -amount)
    }

    /// The same as `set`.
    func record(_ value: Int64) {
        set(value)
    }

    /// The same as `set`.
    func record(_ value: Double) {
        set(value)
    }

    /// Appends the one sample.
    func append(to text: inout String) {
        let shown = PrometheusText.number(value.load(ordering: .relaxed))
        PrometheusText.appendSample(name, labels: labels, value: shown, to: &text)
    }
}
