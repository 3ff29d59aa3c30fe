/// A run of consecutive tokens that are all stored, each at the sequence equal to its token.
public struct StoredRange: Sendable, Hashable {
    /// The first token of the run.
    public var first: UInt64
    /// The last token of the run; never below `first`.
    public var last: UInt64

    /// A run from `first` to `last`, both included.
    public init(first: UInt64, last: UInt64) {
        self.first = first
        self.last = last
    }
}

/// What an ``AckMailbox`` collected between two drains.
///
/// Keep one and pass it to every drain: its memory is swapped with the mailbox's, so that steady state allocates
/// nothing.
public struct AckBatch: Sendable {
    /// What is stored, in the order of the acks: normally one range.
    public internal(set) var stored: [StoredRange] = []
    /// Everything else, in the order of arrival, at most ``AckMailbox/outcomeLimit`` (and as many control outcomes as
    /// ``AckMailbox/controlOutcomeLimit`` more).
    public internal(set) var outcomes: [PublishOutcome] = []
    /// What the first refusal says that is more than what follows from another: JetStream's code and its own words.
    public internal(set) var refusal: Refusal?
    /// Acks that found no room in `stored` or `outcomes`. Not zero means: what is stored must be read from the stream.
    public internal(set) var droppedCount = 0
    /// Acks of an earlier epoch, dropped.
    public internal(set) var staleAckCount = 0

    /// JetStream's answer to a message that it did not take.
    public struct Refusal: Sendable, Hashable {
        /// JetStream's own code.
        public var errCode: Int
        /// Its own words, without their end where they are long.
        public var text: String
    }

    /// How much is kept of what JetStream says.
    private static let textByteCountLimit = 300

    /// An empty batch.
    public init() {}

    /// Whether nothing has come since the last drain.
    public var isEmpty: Bool {
        stored.isEmpty && outcomes.isEmpty && droppedCount == 0 && staleAckCount == 0
    }

    /// Forgets the contents and keeps the memory.
    mutating func removeAll() {
        stored.removeAll(keepingCapacity: true)
        outcomes.removeAll(keepingCapacity: true)
        refusal = nil
        droppedCount = 0
        staleAckCount = 0
    }

    /// Remembers the words at `range` of `body`, unless there are some already, or the message was only refused for the one before it.
    mutating func note(_ errCode: Int, _ body: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) {
        guard refusal == nil, !JetStreamErrorCode.consequences.contains(errCode) else { return }
        let text = body[range].prefix(Self.textByteCountLimit)
        refusal = Refusal(errCode: errCode, text: String(decoding: text, as: UTF8.self))
    }

    /// Adds a stored run, merged with the one before where they touch.
    /// - Returns: Whether the last run now ends with it; if not, it found no room.
    mutating func appendStored(_ first: UInt64, _ last: UInt64, limit: Int) -> Bool {
        let end = stored.count - 1
        if end >= 0, stored[end].last < first, stored[end].last + 1 == first {
            stored[end].last = last
        } else if stored.count < limit {
            stored.append(StoredRange(first: first, last: last))
        } else {
            droppedCount += 1
            return false
        }
        return true
    }

    /// Moves the last run's end on.
    mutating func extendLastStored(to last: UInt64) {
        guard !stored.isEmpty else { return }
        stored[stored.count - 1].last = last
    }
}
