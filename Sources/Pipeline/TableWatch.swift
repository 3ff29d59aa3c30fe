/// When the published tables are looked at again. Pure: it is given the time.
struct TableWatch {
    /// Between two looks, at least.
    static let interval = Duration.seconds(5)
    /// A look takes longer where there are many tables: no more of the time than one part in so many.
    static let share = 100

    private var nextLookAt: Instant

    init(at now: Instant) { nextLookAt = now + Self.interval }

    func isDue(at now: Instant) -> Bool { now >= nextLookAt }

    mutating func looked(from start: Instant, to end: Instant) {
        nextLookAt = end + max(Self.interval, end.duration(since: start) * Self.share)
    }
}
