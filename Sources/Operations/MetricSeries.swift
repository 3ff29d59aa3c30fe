/// One label set of one metric: the place where its values are kept, and how they are shown.
protocol MetricSeries: AnyObject, Sendable {
    /// The metric that it belongs to, as it is exported.
    var name: String { get }
    /// Its label set, as `PrometheusText.labels(_:reserving:)` gives it.
    var labels: String { get }
    /// Appends its samples, each a line.
    func append(to text: inout String)
}
