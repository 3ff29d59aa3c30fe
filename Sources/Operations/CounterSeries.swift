import CoreMetrics
import Synchronization

/// A counter, for whole and for floating-point amounts alike: it only grows, except when reset.
///
/// Whole amounts are kept apart from the others, so that they stay exact beyond 2^53.
final class CounterSeries: MetricSeries, CounterHandler, FloatingPointCounterHandler {
    let name: String
    let labels: String
    private let whole = Atomic<UInt64>(0)
    private let fractional = Atomic<Double>(0)

    init(name: String, labels: String) {
        self.name = name
        self.labels = labels
    }

    /// Adds a whole amount; a negative one is ignored, because Prometheus reads a fall as a restart.
    func increment(by amount: Int64) {
        guard amount > 0 else { return }
        whole.wrappingAdd(UInt64(amount), ordering: .relaxed)
    }

    /// Adds an amount; one that is negative or not finite is ignored.
    func increment(by amount: Double) {
        guard amount > 0, amount.isFinite else { return }
        fractional.add(amount)
    }

    /// Back to 0.
    func reset() {
        whole.store(0, ordering: .relaxed)
        fractional.store(0, ordering: .relaxed)
    }

    /// Appends the one sample.
    func append(to text: inout String) {
        let wholePart = whole.load(ordering: .relaxed)
        let rest = fractional.load(ordering: .relaxed)
        let value = rest == 0 ? String(wholePart) : PrometheusText.number(Double(wholePart) + rest)
        PrometheusText.appendSample(name, labels: labels, value: value, to: &text)
    }
}
