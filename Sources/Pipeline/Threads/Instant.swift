import Glibc
import WAL

/// The monotonic clock, in nanoseconds: for deadlines and liveness. Pipeline is the only module that reads a clock.
struct Instant: Comparable, Sendable {
    var nanoseconds: UInt64

    static var now: Instant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }

    static func < (lhs: Instant, rhs: Instant) -> Bool { lhs.nanoseconds < rhs.nanoseconds }

    static func + (lhs: Instant, rhs: Duration) -> Instant {
        let (seconds, attoseconds) = rhs.components
        return Instant(
            nanoseconds: lhs.nanoseconds + UInt64(max(0, seconds)) * 1_000_000_000
                + UInt64(max(0, attoseconds)) / 1_000_000_000)
    }

    /// Zero if `earlier` lies later.
    func duration(since earlier: Instant) -> Duration {
        .nanoseconds(nanoseconds > earlier.nanoseconds ? nanoseconds - earlier.nanoseconds : 0)
    }
}

extension PostgresTimestamp {
    /// The wall clock.
    static var now: PostgresTimestamp { PostgresTimestamp(unixMicroseconds: WallClock.unixMicroseconds) }
}

/// The clock that people set.
enum WallClock {
    /// Since 1970.
    static var unixMicroseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }

    /// How far it is ahead of the monotonic clock: it changes when it is set.
    static var offset: Duration {
        .microseconds(unixMicroseconds) - .nanoseconds(Instant.now.nanoseconds)
    }
}
