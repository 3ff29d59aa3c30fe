import WAL

/// How many rows go out a second beside live events: as many as do not make those wait much longer than they do without.
///
/// Rows and live events share processors, PostgreSQL and nats-server, and nobody can say beforehand which of them is short. So it is measured: for a moment no row goes out, then for
/// some moments rows do, and the slow transactions of the one are held against those of the other, by the time from their commit to their ack. That is told by two clocks, of which only
/// differences count: a time is what it is longer than the shortest of late.
struct GivingWay {
    /// Rows a second while some go out, at least: a run comes to its end whatever is measured; and at most.
    static let rates = 1_000.0...1_000_000
    /// Rows that were not sent within so long are not made up for.
    static let burstTime = Duration.milliseconds(8)
    /// Without rows, and with them, in turns; at the beginning of one without them some are still on their way.
    static let quietTime = Duration.milliseconds(100)
    static let busyTime = Duration.milliseconds(400)
    static let settlingTime = Duration.milliseconds(20)
    /// Turns that are remembered: what committed before them took very long, and had rows beside it.
    static let turnCount = 8
    /// Transactions of each kind that are compared, where they are many; and, after so long, where they are few.
    static let sampleCount = 400
    static let leastSampleCount = 100
    static let waitingTime = Duration.seconds(5)
    /// Of each kind, at most.
    static let sampleLimit = 4_096
    /// All but so few are not slow.
    static let share = 0.98
    /// By so much the slow ones may be slower with rows before those become fewer; up to `few` they become more.
    static let few = 1.1
    static let many = 1.25
    /// Whatever is shorter is a matter of chance, in microseconds.
    static let leastSpread = 100.0

    private struct Turn {
        var at: Instant
        var isQuiet: Bool
        /// The shortest time of those that were stored in it.
        var least = Double.infinity
    }

    /// Rows a second.
    private(set) var rate = rates.lowerBound
    /// Rows that may go out, as of that moment.
    private var credit = 0.0
    private var creditedAt: Instant
    /// The latest ones, the one that is under way last.
    private var turns: [Turn]
    /// Since the rate was looked at last: times of either kind; rows that went out, and that might have.
    private var changedAt: Instant
    private var quietTimes: [Double] = []
    private var busyTimes: [Double] = []
    private var spentCount = 0
    private var allowedCount = 0.0

    init(at now: Instant) {
        creditedAt = now
        turns = [Turn(at: now, isQuiet: true)]
        changedAt = now
    }

    private var turn: Turn { turns[turns.count - 1] }

    /// How many rows may go out now.
    /// - Parameter times: From commit to ack, in microseconds, of transactions that were stored since this was asked before.
    mutating func allowance(at now: Instant, times: [Double]) -> Int {
        count(times, at: now)
        if now.duration(since: turn.at) >= (turn.isQuiet ? Self.quietTime : Self.busyTime) {
            if !turn.isQuiet { adapt(at: now) }
            begin(Turn(at: now, isQuiet: !turn.isQuiet))
        }
        let earned = turn.isQuiet ? 0 : rate * (now.duration(since: creditedAt) / .seconds(1))
        creditedAt = now
        allowedCount += earned
        credit = turn.isQuiet ? 0 : min(credit + earned, max(1, rate * (Self.burstTime / .seconds(1))))
        return Int(credit)
    }

    /// So many went out.
    mutating func spent(_ count: Int) {
        credit -= Double(count)
        spentCount += count
    }

    /// Rows go out that nobody holds to a rate.
    mutating func letGo(at now: Instant) {
        begin(Turn(at: now, isQuiet: false))
        creditedAt = now
    }

    private mutating func begin(_ turn: Turn) { turns = turns.suffix(Self.turnCount - 1) + [turn] }

    /// Counts transactions for the turns in which they committed: what rows did to one has nothing to do with the turn in which it was stored.
    private mutating func count(_ times: [Double], at now: Instant) {
        guard let shortest = times.min() else { return }
        turns[turns.count - 1].least = min(turn.least, shortest)
        let least = least
        for time in times {
            let age = Duration.microseconds(Int64(min(time - least, 1e12)))
            guard let turn = turns.last(where: { now.duration(since: $0.at) >= age }) else {
                Self.take(time, into: &busyTimes)
                continue
            }
            if !turn.isQuiet {
                Self.take(time, into: &busyTimes)
            } else if now.duration(since: turn.at) >= age + Self.settlingTime {
                Self.take(time, into: &quietTimes)
            }
        }
    }

    private static func take(_ time: Double, into times: inout [Double]) {
        if times.count < sampleLimit { times.append(time) }
    }

    /// Of late: a clock that is put right is forgotten with the turns before.
    private var least: Double { turns.reduce(.infinity) { min($0, $1.least) } }

    private mutating func adapt(at now: Instant) {
        let needed = now.duration(since: changedAt) >= Self.waitingTime ? Self.leastSampleCount : Self.sampleCount
        guard spentCount > 0 else { return forget(at: now) }
        guard busyTimes.count >= needed, quietTimes.count >= needed else { return }
        let least = min(quietTimes.min() ?? 0, busyTimes.min() ?? 0)
        let ratio = max(Self.leastSpread, Self.slow(busyTimes) - least) / max(Self.leastSpread, Self.slow(quietTimes) - least)
        // What few rows cost says nothing of more.
        if ratio <= Self.few, Double(spentCount) >= allowedCount / 2 { rate = min(Self.rates.upperBound, rate * 1.25) }
        if ratio > Self.many { rate = max(Self.rates.lowerBound, rate * 0.7) }
        forget(at: now)
    }

    private mutating func forget(at now: Instant) {
        quietTimes.removeAll(keepingCapacity: true)
        busyTimes.removeAll(keepingCapacity: true)
        spentCount = 0
        allowedCount = 0
        changedAt = now
    }

    /// What all but the slow ones take at most.
    private static func slow(_ times: [Double]) -> Double {
        let sorted = times.sorted()
        return sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
    }
}
