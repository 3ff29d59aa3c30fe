import WAL

/// How many rows go out a second beside live events: as many as do not make those wait much longer than they do without.
///
/// Rows and live events share processors, PostgreSQL and nats-server, and nobody can say beforehand which of them is short. So it is measured: for a moment no row goes out, then for
/// some moments rows do, and by and by the slow transactions of the one are held against those of the other, by the time from their commit to their ack. That is told by two clocks, of
/// which only differences count.
struct GivingWay {
    /// Rows a second, at least: a run comes to its end whatever is measured; and at most.
    static let rates = 1_000.0...1_000_000
    /// Rows that were not sent within so long are not made up for.
    static let burstTime = Duration.milliseconds(8)
    /// Without rows, and with them, in turns; at the beginning of one without them some are still on their way.
    static let quietTime = Duration.milliseconds(100)
    static let busyTime = Duration.milliseconds(400)
    static let settlingTime = Duration.milliseconds(20)
    /// Turns that are remembered: what committed before them took very long, and had rows beside it.
    static let turnCount = 8
    /// Transactions with rows that tell something, at least, and enough of them not to wait for more; without rows so many of the latest are remembered.
    static let leastSampleCount = 100
    static let sampleCount = 1_000
    static let waitingTime = Duration.seconds(5)
    static let quietSampleLimit = 3_000
    /// All but so few are not slow.
    static let share = 0.98
    /// By so much the slow ones may be slower with rows before those become fewer; up to `few` they become more.
    static let few = 1.1
    static let many = 1.25
    /// Whatever is shorter is a matter of chance, in microseconds.
    static let leastSpread = 100.0

    /// Rows a second.
    private(set) var rate = rates.lowerBound
    /// Rows that may go out, as of that moment.
    private var credit = 0.0
    private var creditedAt: Instant
    /// The latest turns, since when and which, the one that is under way last.
    private var turns: [(at: Instant, isQuiet: Bool)]
    /// Of those that are remembered.
    private var least = Double.infinity
    private var quietTimes: [Double] = []
    private var busyTimes: [Double] = []
    private var changedAt: Instant

    init(at now: Instant) {
        creditedAt = now
        turns = [(now, true)]
        changedAt = now
    }

    private var isQuiet: Bool { turns[turns.count - 1].isQuiet }

    /// How many rows may go out now.
    /// - Parameter times: From commit to ack, in microseconds, of transactions that were stored since this was asked before.
    mutating func allowance(at now: Instant, times: [Double]) -> Int {
        measure(at: now, times)
        let passed = now.duration(since: creditedAt)
        creditedAt = now
        credit = isQuiet ? 0 : min(credit + rate * (passed / .seconds(1)), max(1, rate * (Self.burstTime / .seconds(1))))
        return Int(credit)
    }

    /// So many went out.
    mutating func spent(_ count: Int) { credit -= Double(count) }

    private mutating func measure(at now: Instant, _ times: [Double]) {
        least = min(least, times.min() ?? least)
        for time in times { take(time, committedFor: .microseconds(Int64(min(time - least, 1e12))), at: now) }
        let passed = now.duration(since: turns[turns.count - 1].at)
        guard passed >= (isQuiet ? Self.quietTime : Self.busyTime) else { return }
        if isQuiet {
            quietTimes = Array(quietTimes.suffix(Self.quietSampleLimit))
            // Clocks are put right.
            least = quietTimes.min() ?? .infinity
        } else {
            adapt(at: now)
        }
        turns = turns.suffix(Self.turnCount - 1) + [(now, !isQuiet)]
    }

    /// Counts a transaction for the turn in which it committed: what rows did to it has nothing to do with the one in which it was stored.
    private mutating func take(_ time: Double, committedFor age: Duration, at now: Instant) {
        guard let turn = turns.last(where: { now.duration(since: $0.at) >= age }) else { return busyTimes.append(time) }
        if !turn.isQuiet {
            busyTimes.append(time)
        } else if now.duration(since: turn.at) >= age + Self.settlingTime {
            quietTimes.append(time)
        }
    }

    private mutating func adapt(at now: Instant) {
        guard busyTimes.count >= Self.leastSampleCount, busyTimes.count >= Self.sampleCount || now.duration(since: changedAt) >= Self.waitingTime,
            quietTimes.count >= Self.leastSampleCount
        else { return }
        let ratio = max(Self.leastSpread, Self.slow(busyTimes) - least) / max(Self.leastSpread, Self.slow(quietTimes) - least)
        if ratio <= Self.few { rate = min(Self.rates.upperBound, rate * 1.25) }
        if ratio > Self.many { rate = max(Self.rates.lowerBound, rate * 0.7) }
        busyTimes.removeAll(keepingCapacity: true)
        changedAt = now
    }

    /// What all but the slow ones take at most.
    private static func slow(_ times: [Double]) -> Double {
        let sorted = times.sorted()
        return sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
    }
}
