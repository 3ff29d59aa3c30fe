import Threads
import WAL

/// Reads a trickle at once, a steady load with short breaks, and a backlog in gulps: while the socket is left alone, the walsender sends, and we read, in larger pieces.
///
/// Without it every row of a backlog costs both sides a system call or two, and every transaction of a steady load wakes six threads: on a machine whose cores are busy, the walsender then waits for one.
struct ReadingPace {
    /// Frames between two looks at everything else.
    static let frameLimit = 4096
    /// More frames than this in a gulp's time are a backlog: some 10,000 single-row transactions a second.
    static let backlogFrameCount = 32
    static let gulp = Duration.milliseconds(1)
    /// More transactions than this in a stretch are a steady load: some 3,500 a second.
    static let steadyTransactionCount = 35
    static let stretch = Duration.milliseconds(10)
    static let steadyBreak = Duration.microseconds(400)

    private var gulpBeganAt: Instant
    private var frameCount = 0
    private var stretchBeganAt: Instant
    private var transactionCount = 0
    private var isSteady = false

    init(at now: Instant) {
        gulpBeganAt = now
        stretchBeganAt = now
    }

    /// So many frames, and ends of transactions among them, were read just now: for how long to leave the socket alone. Zero for a trickle.
    mutating func rest(afterFrames newCount: Int, transactions: Int, at now: Instant) -> Duration {
        if now.duration(since: stretchBeganAt) < Self.stretch {
            transactionCount += transactions
        } else {
            isSteady = transactionCount > Self.steadyTransactionCount
            stretchBeganAt = now
            transactionCount = transactions
        }
        if now.duration(since: gulpBeganAt) < Self.gulp {
            frameCount += newCount
        } else {
            gulpBeganAt = now
            frameCount = newCount
        }
        // A full turn means that libpq holds more already: there is nothing to wait for.
        guard newCount > 0, newCount < Self.frameLimit else { return .zero }
        guard frameCount > Self.backlogFrameCount else { return isSteady ? Self.steadyBreak : .zero }
        let end = gulpBeganAt + Self.gulp
        gulpBeganAt = end
        frameCount = 0
        return min(end.duration(since: now), Self.gulp)
    }
}
