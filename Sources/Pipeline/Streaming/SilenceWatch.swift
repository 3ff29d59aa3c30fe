import History
import Threads
import WAL

/// Tells a walsender that has nothing to say from one that cannot: asks it for a reply, and measures how long it owes one. Pure: the time is given to it.
///
/// An idle server says nothing for hours, and one that decodes may be silent for minutes; a frozen one, or a connection that only seems to stand,
/// is silent for ever, while the kernel, or a proxy, acknowledges what we send.
struct SilenceWatch {
    enum Verdict: Equatable {
        case fine
        /// It has owed a reply for so long that people are to know.
        case silent(Duration)
        /// Longer than any decoding takes.
        case over(Duration)
    }

    /// After so long without a word a reply is asked for, and again after as long.
    static let askInterval = Duration.seconds(5)
    /// So long a silence is told, where the limit is not shorter still.
    static let tellingLimit = Duration.seconds(30)

    private let limit: Duration
    private var heardAt: Instant
    private var askedAt: Instant?

    /// - Parameter limit: After so long without a word the connection is given up.
    init(limit: Duration, at now: Instant) {
        self.limit = limit
        heardAt = now
    }

    /// Something came, or may lie in a socket that is left unread: then the silence is ours.
    mutating func heard(at now: Instant) {
        heardAt = now
        askedAt = nil
    }

    /// Whether the status that goes out now is to ask for a reply.
    mutating func takeQuestion(at now: Instant) -> Bool {
        guard now.duration(since: max(heardAt, askedAt ?? heardAt)) >= Self.askInterval else { return false }
        askedAt = now
        return true
    }

    func verdict(at now: Instant) -> Verdict {
        // Without a question it owes nothing.
        guard askedAt != nil else { return .fine }
        let silence = now.duration(since: heardAt)
        if silence >= limit { return .over(silence) }
        return silence >= min(Self.tellingLimit, limit / 2) ? .silent(silence) : .fine
    }
}
