/// All series of one metric, which are of one kind.
struct MetricFamily {
    /// What stands in the TYPE line.
    enum Kind: String {
        case counter, gauge, histogram
    }

    let kind: Kind
    /// By their labels' text.
    var series: [String: any MetricSeries] = [:]

    /// Appends HELP, TYPE and every series, in the order of their labels.
    func append(name: String, help: String?, to text: inout String) {
        if let help { text += "# HELP \(name) \(PrometheusText.escapedHelp(help))\n" }
        text += "# TYPE \(name) \(kind.rawValue)\n"
        for (_, each) in series.sorted(by: { $0.key < $1.key }) { each.append(to: &text) }
    }
}
