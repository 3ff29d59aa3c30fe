import CMallocCounter

/// What something costs a time, over several rounds.
struct Measured {
    /// Sorted.
    private var nanoseconds: [Double] = []
    private(set) var allocationCount: UInt64 = 0
    private(set) var totalCount = 0

    /// Runs `body` for `count` rows or events, `rounds` times.
    init(rounds: Int, count: Int, _ body: () throws -> Void) rethrows {
        for _ in 0..<rounds {
            malloc_counter_start()
            let began = ContinuousClock.now
            try body()
            let took = ContinuousClock.now - began
            allocationCount += malloc_counter_stop()
            totalCount += count
            nanoseconds.append(
                (Double(took.components.seconds) * 1e9 + Double(took.components.attoseconds) / 1e9) / Double(count))
        }
        nanoseconds.sort()
    }

    /// The median, and the range, in nanoseconds.
    var text: String {
        "\(Int(nanoseconds[nanoseconds.count / 2])) ns a row (\(Int(nanoseconds[0])) to \(Int(nanoseconds[nanoseconds.count - 1])))"
    }
}
