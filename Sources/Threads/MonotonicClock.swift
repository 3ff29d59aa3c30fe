import Glibc
package import WAL

extension Instant {
    /// The monotonic clock. The edges, which see nothing of this, have ContinuousClock.
    package static var now: Instant {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }
}
