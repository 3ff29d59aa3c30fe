/// How long events took from their commit to their ack: how many took how long, each time kept to an eighth of itself.
struct StoredTimes: Sendable {
    /// Bits of a time that are kept behind its highest one.
    private static let precision = 3
    private static let leadingMask = (1 << precision) - 1
    private static let bucketCount = (64 - precision + 1) << precision

    private var counts = [UInt64](repeating: 0, count: bucketCount)

    /// One took so long.
    @inline(__always)
    mutating func count(microseconds: Double) {
        // A clock may say anything; no integer is made of what does not fit.
        counts[Self.bucket(UInt64(min(max(0, microseconds), 1e15)))] += 1
    }

    /// What all but so small a share of those since `earlier` took at most, in seconds; nil: there were none.
    func quantile(_ share: Double, since earlier: StoredTimes) -> Double? {
        let since = zip(counts, earlier.counts).map { $0 &- $1 }
        let all = since.reduce(0, &+)
        guard all > 0 else { return nil }
        let rank = UInt64((Double(all) * share).rounded(.up))
        var passed: UInt64 = 0
        for (bucket, count) in since.enumerated() {
            passed &+= count
            if passed >= rank { return Double(Self.longest(bucket)) / 1e6 }
        }
        return nil
    }

    @inline(__always)
    private static func bucket(_ value: UInt64) -> Int {
        guard value >= 1 << precision else { return Int(value) }
        let shift = 63 - value.leadingZeroBitCount - precision
        return ((shift + 1) << precision) + (Int(value >> UInt64(shift)) & leadingMask)
    }

    /// The longest time of a bucket.
    private static func longest(_ bucket: Int) -> UInt64 {
        guard bucket >= 1 << precision else { return UInt64(bucket) }
        let shift = (bucket >> precision) - 1
        let leading = UInt64((bucket & leadingMask) + (1 << precision))
        return ((leading + 1) << UInt64(shift)) &- 1
    }
}
