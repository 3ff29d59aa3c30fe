import Threads
import WAL

/// The chain of `Nats-Expected-Last-Sequence`: which sequence the next message must get, and which are in flight.
///
/// A message's token is the sequence that it must get. Pure: the time is given to it.
struct PublishChain: Sendable {
    /// Acks that came before their predecessors', kept until those come; more than this is no JetStream that we know.
    static let earlyRangeLimit = 64

    enum Fault: Error, Equatable {
        /// An ack for a token that is not in flight.
        case unexpectedAck(token: UInt64)
    }

    private struct Mark: Sendable {
        var lastToken: UInt64
        var acceptedAt: Instant
    }

    /// The sequence that the next message must get.
    private(set) var nextToken: UInt64
    /// The oldest that is in flight; `nextToken` if none is.
    private(set) var firstInFlightToken: UInt64
    private var earlyRanges: [ClosedRange<UInt64>] = []
    /// When the messages in flight were accepted, a mark for all those of 10 ms.
    private var marks: [Mark] = []

    /// - Parameter lastSequence: The stream's last sequence.
    init(lastSequence: UInt64) {
        nextToken = lastSequence + 1
        firstInFlightToken = lastSequence + 1
    }

    var inFlightCount: Int { Int(nextToken - firstInFlightToken) }

    /// Those in flight that are acknowledged while one before them is not.
    var earlyCount: Int { earlyRanges.reduce(0) { $0 + $1.count } }

    /// When the newest message in flight was accepted; nil if none is.
    var lastAcceptedAt: Instant? { inFlightCount > 0 ? marks.last?.acceptedAt : nil }

    /// libnats has taken the message with `nextToken`.
    mutating func accepted(at now: Instant) {
        if let last = marks.last, now.duration(since: last.acceptedAt) < .milliseconds(10) {
            marks[marks.count - 1].lastToken = nextToken
        } else {
            marks.append(Mark(lastToken: nextToken, acceptedAt: now))
        }
        nextToken += 1
    }

    /// The messages with these tokens are stored where they had to be.
    /// - Returns: How many more are stored without a hole before them.
    mutating func stored(_ range: ClosedRange<UInt64>) throws(Fault) -> Int {
        guard range.lowerBound >= firstInFlightToken, range.upperBound < nextToken else {
            throw .unexpectedAck(token: range.lowerBound)
        }
        let before = firstInFlightToken
        if range.lowerBound == firstInFlightToken {
            firstInFlightToken = range.upperBound + 1
            while let index = earlyRanges.firstIndex(where: { $0.lowerBound == firstInFlightToken }) {
                firstInFlightToken = earlyRanges.remove(at: index).upperBound + 1
            }
        } else {
            guard earlyRanges.count < Self.earlyRangeLimit else { throw .unexpectedAck(token: range.lowerBound) }
            earlyRanges.append(range)
        }
        while let first = marks.first, first.lastToken < firstInFlightToken { marks.removeFirst() }
        return Int(firstInFlightToken - before)
    }

    /// Whether the oldest message in flight has waited for its ack longer than `ackTimeout`.
    func isOverdue(at now: Instant, ackTimeout: Duration) -> Bool {
        guard inFlightCount > 0, let first = marks.first else { return false }
        return now.duration(since: first.acceptedAt) > ackTimeout
    }
}
