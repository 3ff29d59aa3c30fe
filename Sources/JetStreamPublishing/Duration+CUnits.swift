extension Duration {
    /// Whole milliseconds, rounded up, at least 0: the unit of libnats.
    var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        let whole = seconds.multipliedReportingOverflow(by: 1_000)
        guard !whole.overflow else { return seconds < 0 ? 0 : Int64.max }
        let part = (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
        return max(0, whole.partialValue.addingReportingOverflow(part).partialValue)
    }

    /// Whole nanoseconds, at least 0, at most a century: the unit of clocks and of JetStream.
    var nanoseconds: UInt64 {
        let bounded = Swift.min(Swift.max(self, .zero), .seconds(3_155_760_000))
        let (seconds, attoseconds) = bounded.components
        return UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
    }
}
