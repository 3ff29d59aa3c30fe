import Glibc
package import WAL

/// The clock that people set.
package enum WallClock {
    /// Since 1970.
    package static var unixMicroseconds: Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }

    /// How far it is ahead of the monotonic clock: it changes when it is set.
    package static var offset: Duration {
        .microseconds(unixMicroseconds) - .nanoseconds(Instant.now.nanoseconds)
    }
}

extension PostgresTimestamp {
    /// The wall clock.
    package static var now: PostgresTimestamp { PostgresTimestamp(unixMicroseconds: WallClock.unixMicroseconds) }
}
