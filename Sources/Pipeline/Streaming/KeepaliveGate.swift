import Threads
import WAL

/// Holds a keepalive's position back until the server, asked over another connection, is known to have written that far.
///
/// What is confirmed is never sent again, and the server takes any position: one that something in between has damaged would skip what comes.
/// A position is believed or not, never cut down to the server's end: up to there it may not have decoded.
struct KeepaliveGate {
    /// A position that the server has not reached for so long, though it was asked, is not its own.
    static let tellingLimit = Duration.seconds(10)

    private var serverEnd: LSN
    /// The latest; an earlier one says less.
    private var held: LSN?
    private var heldSince: Instant?

    /// - Parameter serverEnd: How far the server is known to have written.
    init(serverEnd: LSN) { self.serverEnd = serverEnd }

    /// The server has to be asked how far it has written.
    var isHolding: Bool { held != nil }

    /// A keepalive came: the position that may be believed now; nil: it is held back.
    mutating func received(_ walEnd: LSN, at now: Instant) -> LSN? {
        guard walEnd > serverEnd else {
            held = nil
            heldSince = nil
            return walEnd
        }
        held = walEnd
        heldSince = heldSince ?? now
        return nil
    }

    /// The server said how far it has written: the position that may be believed by that; nil: none.
    mutating func serverWrote(upTo end: LSN) -> LSN? {
        serverEnd = max(serverEnd, end)
        guard let position = held, position <= serverEnd else { return nil }
        held = nil
        heldSince = nil
        return position
    }

    /// A position that the server does not reach: it is worth telling.
    func implausible(at now: Instant) -> LSN? {
        guard let held, let heldSince, now.duration(since: heldSince) >= Self.tellingLimit else { return nil }
        return held
    }
}
