import Threads
import WAL

/// Since when WAL has been waiting to be read, by looks at the server: PostgreSQL tells no commit's time before it sends the row.
///
/// What lies before a look's position was written before that look. So what is not stored is at least as old as the oldest look whose position is not reached; of what was there
/// at the first look only somebody else can tell how old it is.
struct LagClock {
    /// Looks that are kept, at most: beyond it every second one is forgotten, the oldest never.
    static let limit = 128
    /// WAL that was written as lately is on its way: most of it holds nothing to be published, and it is read within that time.
    static let readingTime = Duration.seconds(2)

    private struct Look {
        var end: LSN
        var at: Instant
        /// How old the oldest of it was then; nil: nobody knows.
        var age: Duration?
    }

    private var looks: [Look] = []
    /// Where the server was at the newest look; nil: nobody has looked.
    private var newestEnd: LSN?

    /// Looks that are kept now.
    var lookCount: Int { looks.count }

    /// The server had written up to `end`.
    mutating func looked(_ end: LSN, at now: Instant) {
        guard let newest = newestEnd, end >= newest else {
            // The first look, or another server.
            looks = [Look(end: end, at: now, age: nil)]
            newestEnd = end
            return
        }
        newestEnd = end
        // Nothing was written since: what waits was there at the look before.
        guard end > newest else { return }
        looks.append(Look(end: end, at: now, age: .zero))
        guard looks.count > Self.limit else { return }
        looks = looks.indices.filter { $0 % 2 == 0 }.map { looks[$0] }
    }

    /// What waited at the first look is at most `age` old now.
    mutating func learned(age: Duration, at now: Instant) {
        guard let first = looks.first, first.age == nil else { return }
        looks[0].age = max(.zero, age - now.duration(since: first.at))
    }

    /// All that commits before `lsn` is stored.
    mutating func stored(upTo lsn: LSN) {
        guard let first = looks.first, first.end <= lsn else { return }
        looks.removeAll { $0.end <= lsn }
    }

    /// For how long the oldest has been waiting; zero: nothing waits; nil: nobody knows.
    func age(at now: Instant) -> Duration? {
        guard newestEnd != nil else { return nil }
        guard let oldest = looks.first else { return .zero }
        guard let age = oldest.age.map({ $0 + now.duration(since: oldest.at) }) else { return nil }
        return age < Self.readingTime ? .zero : age
    }
}
