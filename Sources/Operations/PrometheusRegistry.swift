package import CoreMetrics
import Synchronization

/// Every metric of the process, as swift-metrics hands them in and as Prometheus reads them.
///
/// Asking for a metric takes a lock; counting in it takes none, so callers keep what they were given. The same name and
/// dimensions give the same handler. There is no limit on series here: whoever takes a label from data limits it.
///
/// | swift-metrics | Prometheus |
/// | --- | --- |
/// | `Counter`, `FloatingPointCounter` | counter |
/// | `Meter`, `Gauge`, `Recorder` with `aggregate: false` | gauge |
/// | `Recorder` with `aggregate: true` | histogram |
/// | `Timer` | histogram, in seconds |
///
/// Names and labels are exported as given, with what Prometheus does not allow replaced by `_`. A name that is in use
/// for another kind gets that kind as a suffix (`_gauge`), for two kinds under one name would spoil the whole scrape.
package final class PrometheusRegistry: MetricsFactory, Sendable {
    /// The bounds of a histogram that has none of its own: those of Prometheus's own clients, made for seconds.
    package static let defaultBuckets: [Double] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

    private let helpTexts: [String: String]
    private let bucketBounds: [String: [Double]]
    /// By exported name.
    private let families = Mutex<[String: MetricFamily]>([:])

    /// An empty registry.
    /// - Parameters:
    ///   - help: The HELP texts, by exported name.
    ///   - buckets: The histograms' inclusive upper bounds, by exported name; `+Inf` is added.
    package init(help: [String: String] = [:], buckets: [String: [Double]] = [:]) {
        self.helpTexts = help
        self.bucketBounds = buckets
    }

    /// Everything in Prometheus's text format 0.0.4: families by name, series by labels, a line feed at the end.
    package func render() -> String {
        let snapshot = families.withLock { $0 }
        var text = ""
        for (name, family) in snapshot.sorted(by: { $0.key < $1.key }) {
            family.append(name: name, help: helpTexts[name], to: &text)
        }
        return text
    }

    /// A counter.
    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        counter(label, dimensions)
    }

    /// A counter, the same as `makeCounter` gives for this name and these dimensions.
    package func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        counter(label, dimensions)
    }

    /// A gauge.
    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        gauge(label, dimensions)
    }

    /// A histogram where `aggregate` is true, else a gauge.
    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        if aggregate { histogram(label, dimensions) } else { gauge(label, dimensions) }
    }

    /// A histogram in seconds.
    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        histogram(label, dimensions)
    }

    /// Forgets a counter; its values no longer show, and asking again begins at 0.
    package func destroyCounter(_ handler: any CounterHandler) {
        remove(handler as? any MetricSeries)
    }

    /// Forgets a counter, as `destroyCounter` does.
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {
        remove(handler as? any MetricSeries)
    }

    /// Forgets a gauge.
    package func destroyMeter(_ handler: any MeterHandler) {
        remove(handler as? any MetricSeries)
    }

    /// Forgets a gauge or a histogram.
    package func destroyRecorder(_ handler: any RecorderHandler) {
        remove(handler as? any MetricSeries)
    }

    /// Forgets a histogram.
    package func destroyTimer(_ handler: any TimerHandler) {
        remove(handler as? any MetricSeries)
    }

    private func counter(_ label: String, _ dimensions: [(String, String)]) -> CounterSeries {
        let labels = PrometheusText.labels(dimensions)
        return series(.counter, label, labels) { CounterSeries(name: $0, labels: labels) }
    }

    private func gauge(_ label: String, _ dimensions: [(String, String)]) -> GaugeSeries {
        let labels = PrometheusText.labels(dimensions)
        return series(.gauge, label, labels) { GaugeSeries(name: $0, labels: labels) }
    }

    private func histogram(_ label: String, _ dimensions: [(String, String)]) -> HistogramSeries {
        // `le` is the bucket's own label.
        let labels = PrometheusText.labels(dimensions, reserving: "le")
        return series(.histogram, label, labels) {
            HistogramSeries(name: $0, labels: labels, bounds: bucketBounds[$0] ?? Self.defaultBuckets)
        }
    }

    /// The series that is there, or a new one.
    private func series<Series: MetricSeries>(
        _ kind: MetricFamily.Kind, _ label: String, _ labels: String, make: (String) -> Series
    ) -> Series {
        families.withLock { families in
            var name = PrometheusText.metricName(label)
            while let family = families[name], family.kind != kind { name += "_\(kind.rawValue)" }
            if let known = families[name]?.series[labels] as? Series { return known }
            let new = make(name)
            families[name, default: MetricFamily(kind: kind)].series[labels] = new
            return new
        }
    }

    /// Takes a series out, and its family with the last one; leaves another registry's, or one already replaced.
    private func remove(_ series: (any MetricSeries)?) {
        guard let series else { return }
        families.withLock { families in
            guard families[series.name]?.series[series.labels] === series else { return }
            families[series.name]?.series[series.labels] = nil
            if families[series.name]?.series.isEmpty == true { families[series.name] = nil }
        }
    }
}
