import Capture
import History
import JetStreamPublishing

extension LastPresent {
    /// Messages at a stream's end that are looked through, unless all are to be.
    static let searchCount: UInt64 = 10_000

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
