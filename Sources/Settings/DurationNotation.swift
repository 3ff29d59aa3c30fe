/// `250ms`, `3s`, `10m`, `1h`, `7d`; `0` needs no unit.
enum DurationNotation {
    /// From the smallest to the largest, each with its length in milliseconds.
    private static let units: [(suffix: String, milliseconds: Int64)] = [
        ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]

    /// nil for anything else, a sign, a fraction and what does not fit included.
    static func parse(_ text: String) -> Duration? {
        if text == "0" { return .zero }
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let suffix = text.dropFirst(digits.count)
        guard let count = Int64(digits), let unit = units.first(where: { $0.suffix == suffix }) else { return nil }
        let (milliseconds, overflow) = count.multipliedReportingOverflow(by: unit.milliseconds)
        return overflow ? nil : .milliseconds(milliseconds)
    }

    /// The form with the largest unit that leaves no rest. What is finer than a millisecond is cut off.
    static func text(_ duration: Duration) -> String {
        let total = milliseconds(duration)
        guard total != 0, let unit = units.last(where: { total % $0.milliseconds == 0 }) else { return "0" }
        return "\(total / unit.milliseconds)\(unit.suffix)"
    }

    /// Whole milliseconds; every duration that `parse` gives has so many.
    static func milliseconds(_ duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        return overflow ? .max : product.addingReportingOverflow(attoseconds / 1_000_000_000_000_000).partialValue
    }
}
