import Glibc

/// Reads a trickle at once and a backlog in gulps: where much arrives, the socket is left alone for a millisecond, so that the walsender sends, and we read, in large pieces.
///
/// Without it every row of a backlog costs both sides a system call or two.
struct ReadingPace {
    /// More frames than this in a gulp's time are a backlog: some 10,000 single-row transactions a second.
    static let backlogFrameCount = 32
    static let gulp = Duration.milliseconds(1)

    private var beganAt = Instant.now
    private var frameCount = 0

    /// `frameCount` frames were read just now. Sleeps for what is left of the gulp's time if they are part of a backlog.
    mutating func read(frameCount newCount: Int) {
        let now = Instant.now
        if now.duration(since: beganAt) < Self.gulp {
            frameCount += newCount
        } else {
            beganAt = now
            frameCount = newCount
        }
        // A full turn means that libpq holds more already: there is nothing to wait for.
        guard frameCount > Self.backlogFrameCount, newCount < Session.frameLimit else { return }
        usleep(UInt32((beganAt + Self.gulp).duration(since: now) / .microseconds(1)))
        beganAt = .now
        frameCount = 0
    }
}
