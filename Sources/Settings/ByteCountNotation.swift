/// A number of bytes, plain or with `KiB`, `MiB`, `GiB`.
package enum ByteCountNotation {
    private static let units: [(suffix: String, byteCount: Int)] = [
        ("", 1), ("KiB", 1024), ("MiB", 1_048_576), ("GiB", 1_073_741_824),
    ]

    /// nil for anything else, a sign, a fraction and what does not fit included.
    package static func parse(_ text: String) -> Int? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let suffix = text.dropFirst(digits.count)
        guard let count = Int(digits), let unit = units.first(where: { $0.suffix == suffix }) else { return nil }
        let (byteCount, overflow) = count.multipliedReportingOverflow(by: unit.byteCount)
        return overflow ? nil : byteCount
    }

    /// The form with the largest unit that leaves no rest.
    static func text(_ byteCount: Int) -> String {
        guard byteCount > 0, let unit = units.last(where: { byteCount % $0.byteCount == 0 }) else {
            return "\(byteCount)"
        }
        return "\(byteCount / unit.byteCount)\(unit.suffix)"
    }
}
