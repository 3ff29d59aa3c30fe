import CoreMetrics
import Synchronization

/// A distribution over fixed buckets: a timer, in seconds, or a recorder that aggregates, in its own unit.
///
/// A scrape during observations shows a `_count` that is exactly its buckets' sum; only `_sum` may be an observation
/// ahead or behind, because there is no lock over the two.
final class HistogramSeries: MetricSeries, RecorderHandler, TimerHandler {
    /// An atomic cannot be an array's element; a box can.
    private final class Bucket: Sendable {
        let count = Atomic<UInt64>(0)
    }

    let name: String
    let labels: String
    /// Inclusive upper bounds, ascending, all finite.
    private let bounds: [Double]
    /// One a bound, and a last one for what is above them all. Not cumulative.
    private let buckets: [Bucket]
    private let sum = Atomic<Double>(0)

    /// - Parameter bounds: In any order; what is not finite and what comes twice is dropped, `+Inf` is always there.
    init(name: String, labels: String, bounds: [Double]) {
        self.name = name
        self.labels = labels
        self.bounds = Set(bounds.filter(\.isFinite)).sorted()
        self.buckets = (0...self.bounds.count).map { _ in Bucket() }
    }

    /// Observes a value in the recorder's own unit.
    func record(_ value: Int64) {
        record(Double(value))
    }

    /// Observes a value; one that is not finite is ignored, because `_sum` could never leave it again.
    func record(_ value: Double) {
        guard value.isFinite else { return }
        let index = bounds.firstIndex { value <= $0 } ?? bounds.count
        buckets[index].count.wrappingAdd(1, ordering: .relaxed)
        sum.add(value)
    }

    /// Observes a duration, kept in seconds.
    ///
    /// A negative one counts as 0: where the two times come from two machines, their clocks may disagree, and a
    /// falling `_sum` would read as a restart.
    func recordNanoseconds(_ duration: Int64) {
        record(Double(max(0, duration)) / 1e9)
    }

    /// Appends the cumulative buckets, the sum and the count.
    func append(to text: inout String) {
        let prefix = labels.isEmpty ? "" : labels + ","
        var cumulative: UInt64 = 0
        for (index, bucket) in buckets.enumerated() {
            cumulative &+= bucket.count.load(ordering: .relaxed)
            let bound = index < bounds.count ? PrometheusText.number(bounds[index]) : "+Inf"
            PrometheusText.appendSample(
                name + "_bucket", labels: prefix + "le=\"\(bound)\"", value: String(cumulative), to: &text)
        }
        let total = PrometheusText.number(sum.load(ordering: .relaxed))
        PrometheusText.appendSample(name + "_sum", labels: labels, value: total, to: &text)
        PrometheusText.appendSample(name + "_count", labels: labels, value: String(cumulative), to: &text)
    }
}
