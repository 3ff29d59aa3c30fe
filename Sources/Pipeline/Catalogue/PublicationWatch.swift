import Threads
import WAL

/// Notices that the publication has gone, before anything is written that it should have published. Pure: it is given what the catalogue says, and the time.
struct PublicationWatch {
    /// Between two looks.
    static let interval = Duration.seconds(5)

    private var lastLookAt: Instant
    /// How far the server had written when it was first seen to be gone.
    private var goneBeforeLSN: LSN?

    init(at now: Instant) { lastLookAt = now }

    func isDue(at now: Instant) -> Bool { now.duration(since: lastLookAt) >= Self.interval }

    /// nil: the catalogue could not be asked.
    mutating func looked(_ state: PublicationState?, at now: Instant) {
        lastLookAt = now
        guard let state else { return }
        goneBeforeLSN = state.isThere ? nil : goneBeforeLSN ?? state.serverLSN
    }

    /// Whether all that was written while it was there has been decoded: what comes now would not be published.
    func isOver(decodedUpTo endLSN: LSN) -> Bool { goneBeforeLSN.map { endLSN >= $0 } ?? false }
}
