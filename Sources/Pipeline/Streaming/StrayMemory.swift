import History
import Threads
import WAL

/// Messages that are not ours in what was read last, and when they were told of: a flood is not told one by one. A value: the time is given to it.
struct StrayMemory {
    /// Between two looks for strays while nothing is to be sent.
    static let lookInterval = Duration.seconds(30)
    /// Within this time of the first one more are a flood, and one of them is told.
    private static let floodTime = Duration.seconds(10)

    /// The first ones.
    private(set) var found: [Stray] = []
    private var lastReport: Instant?
    /// Strays were the last trouble, and it was told when.
    private var lastFloodReport: Instant?
    private var lastLook = Instant(nanoseconds: 0)

    /// The stream is read anew.
    mutating func forget() { found = [] }

    /// Takes one in.
    /// - Returns: Whether it is to be told.
    mutating func found(_ stray: Stray, at now: Instant) -> Bool {
        if found.count < Stray.limit { found.append(stray) }
        if let lastReport, now.duration(since: lastReport) < Self.floodTime { return false }
        lastReport = now
        return true
    }

    /// The stream was read.
    /// - Returns: Whether strays are in it that are the first for a while.
    mutating func wasRead(hasStrays: Bool, at now: Instant) -> Bool {
        guard hasStrays else {
            lastFloodReport = nil
            return false
        }
        guard !isFlood(at: now) else { return false }
        lastFloodReport = now
        return true
    }

    /// Whether they come faster than each is worth a line.
    func isFlood(at now: Instant) -> Bool {
        lastFloodReport.map { now.duration(since: $0) < Self.floodTime } ?? false
    }

    /// Whether they are to be looked for again.
    func isLookDue(at now: Instant) -> Bool { now.duration(since: lastLook) >= Self.lookInterval }

    /// They were looked for.
    mutating func looked(at now: Instant) { lastLook = now }
}
