import Capture
import JetStreamPublishing

/// The newest message of ours that is in a stream: its end may have been deleted, and others may have written behind it.
enum LastPresent: Equatable {
    /// None is left, or was ever stored.
    case none
    case event(MessageID, sequence: UInt64)
    /// None of ours, but one of another database or server.
    case another(MessageID, sequence: UInt64)

    /// Messages at a stream's end that are looked through, unless all are to be.
    static let searchCount: UInt64 = 10_000

    var id: MessageID? {
        if case .event(let id, _) = self { id } else { nil }
    }

    /// Where ours stands.
    var sequence: UInt64? {
        if case .event(_, let sequence) = self { sequence } else { nil }
    }

    /// Reads it.
    static func read(
        _ stream: String, through last: UInt64, searchCount: UInt64 = LastPresent.searchCount, identity: SourceIdentity,
        over connection: some StreamReader
    ) throws(JetStreamError) -> LastPresent {
        guard last > 0 else { return .none }
        var ours: (id: MessageID, sequence: UInt64)?
        var another: (id: MessageID, sequence: UInt64)?
        let first = last > searchCount ? last - searchCount + 1 : 1
        try connection.readHeaders(stream, first...last, consumer: StreamReading.consumer, isWanted: { true }) {
            (sequence, messageID, _) in
            guard let id = MessageID(header: messageID) else { return true }
            // By position: an old one that somebody stored again is not the newest.
            if !id.isOf(identity) {
                another = (id, sequence)
            } else if ours.map({ $0.id.position < id.position }) ?? true {
                ours = (id, sequence)
            }
            return true
        }
        if let ours { return .event(ours.id, sequence: ours.sequence) }
        return another.map { .another($0.id, sequence: $0.sequence) } ?? .none
    }
}
