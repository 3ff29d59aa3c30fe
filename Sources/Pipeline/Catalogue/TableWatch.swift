import Threads
import WAL

/// When the published tables are looked at again. Pure: it is given the time.
struct TableWatch {
    /// Between two looks, at least.
    static let interval = Duration.seconds(5)
    /// A look takes longer where there are many tables: no more of the time than one part in so many.
    static let share = 100

    private var nextLookAt: Instant
    /// Of the catalogue as it was read last.
    private var changeMark: String?

    init(at now: Instant) { nextLookAt = now + Self.interval }

    func isDue(at now: Instant) -> Bool { now >= nextLookAt }

    /// Whether the catalogue with this mark may say something else than what was read last.
    func isChanged(_ mark: String?) -> Bool { mark == nil || mark != changeMark }

    /// It was read, after it had this mark.
    mutating func read(_ mark: String?) { changeMark = mark }

    mutating func looked(from start: Instant, to end: Instant) {
        nextLookAt = end + max(Self.interval, end.duration(since: start) * Self.share)
    }
}
