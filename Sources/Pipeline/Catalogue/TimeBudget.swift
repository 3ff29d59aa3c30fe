import Threads
import WAL

/// The time that one question to the catalogue may take, however many statements it is made of.
struct TimeBudget {
    /// Longer than a description takes on a server that has much else to do too; who waits longer begins a new session, and goes on where this one was.
    static let whole = Duration.seconds(60)

    private let end: Instant

    init(from now: Instant) { end = now + Self.whole }

    /// What the next statement may take.
    var next: Duration { min(CatalogueReader.timeout, end.duration(since: .now)) }
}
