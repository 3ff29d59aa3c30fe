import Capture
import History
import JetStreamPublishing
import WAL

/// Walks through the messages of the live stream, up to where it ended at the beginning.
struct StreamCursor: ~Copyable {
    /// A message as it is stored.
    struct Message {
        var sequence: UInt64
        var subject: String
        /// nil: it has none of ours.
        var id: MessageID?
        var idText: String?
        var payload: [UInt8]
    }

    private let stored: StoredPast
    private let reader: MessageReader
    private let lastSequence: UInt64
    private var nextSequence: UInt64
    private var peeked: Message?
    /// Sequences that are not there, of those that were passed.
    private(set) var deletedCount: UInt64 = 0

    /// - Parameter sequences: nil: nothing is there to walk through.
    init(_ stored: StoredPast, _ sequences: ClosedRange<UInt64>?) throws(StreamerError) {
        self.stored = stored
        reader = try StreamerError.ofJetStream { () throws(JetStreamError) in
            try stored.connection.openReader(stored.name, from: .sequence(sequences?.lowerBound ?? 1))
        }
        nextSequence = sequences?.lowerBound ?? 1
        lastSequence = sequences?.upperBound ?? 0
    }

    deinit { reader.close() }

    /// The message that comes next, which stays where it is; nil: there is none any more.
    mutating func peek() throws(StreamerError) -> Message? {
        if let peeked { return peeked }
        while nextSequence <= lastSequence {
            let message = try StreamerError.ofJetStream { () throws(JetStreamError) in try reader.next(timeout: .seconds(2)) }
            guard let message else {
                if try isGone() { break }
                continue
            }
            guard message.sequence <= lastSequence else { break }
            if message.sequence > nextSequence { deletedCount += try deletedCount(before: message.sequence) }
            nextSequence = message.sequence + 1
            let text = message.messageID
            peeked = Message(
                sequence: message.sequence, subject: message.subject, id: text.flatMap { MessageID($0) }, idText: text,
                payload: message.payload)
            return peeked
        }
        if nextSequence <= lastSequence {
            deletedCount += try deletedCount(before: lastSequence + 1)
            nextSequence = lastSequence + 1
        }
        return nil
    }

    /// Goes on behind the message that was looked at.
    mutating func advance() { peeked = nil }

    /// The sequence up to which it has come.
    var position: UInt64 { nextSequence - 1 }

    /// Sequences before `sequence` that are not there, though retention has not come so far.
    private func deletedCount(before sequence: UInt64) throws(StreamerError) -> UInt64 {
        let (connection, name) = (stored.connection, stored.name)
        let info = try StreamerError.ofJetStream { () throws(JetStreamError) in try connection.streamInfo(name) }
        let first = max(nextSequence, info?.state.firstSequence ?? 1)
        return sequence > first ? sequence - first : 0
    }

    /// Whether none of what is left is there any more.
    private func isGone() throws(StreamerError) -> Bool {
        var probe = nextSequence
        while probe <= lastSequence {
            let (sequence, connection, name) = (probe, stored.connection, stored.name)
            if try StreamerError.ofJetStream({ () throws(JetStreamError) in try connection.message(name, sequence: sequence) }) != nil {
                return false
            }
            probe += 1
        }
        return true
    }
}
