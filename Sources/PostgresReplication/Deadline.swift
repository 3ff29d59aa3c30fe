import Glibc

/// A moment by which something must have happened.
struct Deadline {
    private let instant: ContinuousClock.Instant

    init(after timeout: Duration) {
        instant = ContinuousClock.now.advanced(by: timeout)
    }

    private init(instant: ContinuousClock.Instant) {
        self.instant = instant
    }

    /// The time left; zero once it has passed.
    var remaining: Duration { max(.zero, ContinuousClock.now.duration(to: instant)) }

    var hasPassed: Bool { ContinuousClock.now >= instant }

    /// The earlier of this and `timeout` from now.
    func limited(to timeout: Duration) -> Deadline {
        Deadline(instant: min(instant, ContinuousClock.now.advanced(by: timeout)))
    }

    /// Waits until `socket` is ready for one of `events` (`POLLIN`, `POLLOUT`), has failed, or the time is up.
    ///
    /// - Returns: poll(2)'s `revents`; 0 when the time is up.
    func wait(for socket: Int32, events: Int32) -> Int32 {
        var descriptor = pollfd(fd: socket, events: Int16(truncatingIfNeeded: events), revents: 0)
        while true {
            let left = remaining.components
            // Rounded up: rounding down would spin through the last millisecond.
            let milliseconds = min(left.seconds, 1_000_000) * 1000 + left.attoseconds / 1_000_000_000_000_000
            let wait = left.attoseconds % 1_000_000_000_000_000 == 0 ? milliseconds : milliseconds + 1
            let count = poll(&descriptor, 1, Int32(truncatingIfNeeded: wait))
            if count > 0 { return Int32(descriptor.revents) }
            if count == 0 && hasPassed { return 0 }
            // A signal interrupted the wait, or the clocks disagree by a hair. Any other failure is a socket that is not one.
            if count < 0 && errno != EINTR { return POLLNVAL }
        }
    }
}
