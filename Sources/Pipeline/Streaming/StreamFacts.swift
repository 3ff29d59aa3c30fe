import History
import JetStreamPublishing
import Threads
import WAL

/// What JetStream said of the stream and its consumers when it was looked at last.
struct StreamFacts: Sendable {
    /// So long it is told: three looks, and the time that an answer may take.
    static let validity = StreamWatch.interval * 3 + StreamWatch.answerTime
    /// Durable consumers that are told one by one; the configured one first, then by name.
    static let consumerLimit = 50

    var at: Instant
    var leader: String?
    var state: StreamInfo.State
    var replicas: Int
    /// nil: no limit.
    var maxBytes: UInt64?
    /// nil: no limit.
    var maxMessages: UInt64?
    /// nil: no limit.
    var maxAge: Duration?
    /// `old` or `new`.
    var discard: String
    /// nil: they could not be read.
    var consumers: [ConsumerStanding]?
    /// Of any kind; nil: they could not be read.
    var consumerCount: Int?
    /// Messages in the stream that are no events, by the last token of their subject (`GAP`, `SKIP`); nil: they were not counted.
    var markerCounts: [String: UInt64]?

    init(_ info: StreamInfo, at now: Instant) {
        at = now
        leader = info.cluster?.leader
        state = info.state
        replicas = info.config.replicas
        maxBytes = UInt64(exactly: info.config.maxBytes).flatMap { $0 > 0 ? $0 : nil }
        maxMessages = UInt64(exactly: info.config.maxMessages).flatMap { $0 > 0 ? $0 : nil }
        discard = info.config.discard
        maxAge = info.config.maxAgeNanoseconds > 0 ? .nanoseconds(info.config.maxAgeNanoseconds) : nil
    }

    /// The standings that are told, in the order in which they are.
    static func told(_ standings: [ConsumerStanding], first configured: String?) -> [ConsumerStanding] {
        let sorted = standings.sorted { ($0.name == configured ? 0 : 1, $0.name) < ($1.name == configured ? 0 : 1, $1.name) }
        return Array(sorted.prefix(consumerLimit))
    }
}

extension StreamerStatus.Stream {
    /// What `status` says of the stream.
    mutating func take(_ facts: StreamFacts) {
        leader = facts.leader
        firstSequence = facts.state.firstSequence
        lastSequence = max(lastSequence ?? 0, facts.state.lastSequence)
        messages = facts.state.messages
        bytes = facts.state.bytes
        replicas = facts.replicas
        maxBytes = facts.maxBytes
        maxMessages = facts.maxMessages
        maxAgeSeconds = facts.maxAge?.seconds
        discard = facts.discard
        if facts.state.messages > 0 { firstTime = facts.state.firstTime }
        // Year 1: nothing was ever stored.
        if facts.state.lastSequence > 0 { lastTime = facts.state.lastTime }
    }
}
