import History
import JetStreamPublishing
import Threads
import WAL

/// Whether a stream has room for the rows of a run, before one of them is read: what it would remove to take them, and who has not read that.
package struct BackfillRoom: Sendable {
    /// What the rows take, by estimate.
    struct Need: Equatable {
        var rows: UInt64
        var byteCount: UInt64
        var seconds: Double
    }

    /// What it comes to.
    package struct Verdict: Sendable, Equatable {
        /// Bytes that the stream still takes before it removes or refuses something; nil: no limit.
        package var freeBytes: UInt64?
        /// Why the rows do not fit, a clause; nil: they do.
        package var refusal: String?
        /// The way out.
        package var remedy = ""
    }

    /// Of an event, beside its row: subject, headers, names and times.
    static let overheadByteCount: UInt64 = 400

    private let stream: String
    private let isNew: Bool
    private let discardsNew: Bool
    private let maxBytes: UInt64?
    private let maxMessages: UInt64?
    private let maxPerSubject: UInt64?
    private let maxAgeSeconds: Double?
    private let byteCount: UInt64
    private let messageCount: UInt64
    private let firstSequence: UInt64
    private let lastSequence: UInt64
    /// The oldest sequence that somebody has not acknowledged, and who; nil: everybody has read all.
    private let unread: (sequence: UInt64, consumer: String)?
    /// What the account still takes; nil: no limit, or the stream's own room is reserved.
    private let accountFree: UInt64?

    /// - Parameters:
    ///   - info: nil: the stream is made as `wanted`.
    ///   - consumers: Of the stream; the ones that are not durable do not count.
    ///   - account: As ``JetStreamConnection/accountStorage(timeout:)`` tells it; nil: not known.
    init(
        _ info: StreamInfo?, wanted: StreamConfiguration, consumers: [ConsumerInfo], account: (limit: Int64?, taken: Int64)?
    ) {
        func limit(_ value: Int64) -> UInt64? { value > 0 ? UInt64(value) : nil }
        stream = info?.config.name ?? wanted.name
        isNew = info == nil
        discardsNew = info.map { $0.config.discard == "new" } ?? wanted.discardsNew
        maxBytes = limit(info?.config.maxBytes ?? wanted.maxBytes)
        maxMessages = limit(info?.config.maxMessages ?? wanted.maxMessages)
        maxPerSubject = limit(info?.config.maxMessagesPerSubject ?? -1)
        let ageNanoseconds = info?.config.maxAgeNanoseconds ?? Int64(wanted.maxAge / .nanoseconds(1))
        maxAgeSeconds = ageNanoseconds > 0 ? Double(ageNanoseconds) / 1e9 : nil
        byteCount = info?.state.bytes ?? 0
        messageCount = info?.state.messages ?? 0
        firstSequence = info?.state.firstSequence ?? 1
        lastSequence = info?.state.lastSequence ?? 0
        // With filters the next behind its floor may be none of its own: then something later is its oldest, and it is not said better than this.
        unread = consumers.filter { $0.durableName != nil && $0.ackPolicy != "none" && !$0.isReadUp }
            .map { ($0.ackFloorSequence + 1, $0.durableName ?? $0.name) }.min { $0.0 < $1.0 }
        accountFree = account.flatMap { account in account.limit.map { UInt64(max(0, $0 - account.taken)) } }
    }

    /// Whether rows of such a size fit.
    func verdict(_ need: Need) -> Verdict {
        var verdict = Verdict()
        let isReserved = maxBytes != nil && !isNew
        let own = maxBytes.map { $0 > byteCount ? $0 - byteCount : 0 }
        verdict.freeBytes = isReserved ? own : [own, accountFree].compactMap { $0 }.min()
        let what = fault(need, isReserved: isReserved)
        verdict.refusal = what?.refusal
        verdict.remedy = what?.remedy ?? ""
        return verdict
    }

    private func fault(_ need: Need, isReserved: Bool) -> (refusal: String, remedy: String)? {
        let elsewhere = "Or read the rows into a stream of their own: --into-stream NAME"
        if !isReserved, let accountFree, need.byteCount > accountFree {
            return (
                "\(Amount.bytes(need.byteCount)) do not fit: the account of stream \(stream) has \(Amount.bytes(accountFree)) left",
                "Raise JetStream's limit of the account, or give the streamer another account"
            )
        }
        if let maxBytes {
            let raise = raise("--max-bytes=\(Self.rounded(byteCount + need.byteCount))", elsewhere)
            if let refusal = removal(need.byteCount, byteCount, maxBytes, "max_bytes", Amount.bytes(maxBytes)) { return (refusal, raise) }
        }
        if let maxMessages {
            let raise = raise("--max-msgs=\(messageCount + need.rows + need.rows / 4)", elsewhere)
            if let refusal = removal(need.rows, messageCount, maxMessages, "max_msgs", Amount.count(maxMessages)) { return (refusal, raise) }
        }
        // All rows of an entity have one subject.
        if let maxPerSubject, need.rows > maxPerSubject {
            return (
                "stream \(stream) keeps \(Amount.count(maxPerSubject)) messages of a subject (max_msgs_per_subject), and would remove rows of this backfill",
                raise("--max-msgs-per-subject=-1", elsewhere)
            )
        }
        if let maxAgeSeconds, need.seconds > maxAgeSeconds {
            return (
                "stream \(stream) keeps a message for \(Amount.time(maxAgeSeconds)) (max_age), and would remove rows of this backfill before the last one is stored",
                raise("--max-age=\(Int((need.seconds * 2 / 86_400).rounded(.up)))d", "Or raise --rate")
            )
        }
        return nil
    }

    /// What the stream would remove, or refuse, to take so much more of what it has a limit for.
    private func removal(_ more: UInt64, _ held: UInt64, _ limit: UInt64, _ name: String, _ shown: String) -> String? {
        let (total, overflow) = held.addingReportingOverflow(more)
        let excess = overflow ? UInt64.max : total > limit ? total - limit : 0
        guard excess > 0 else { return nil }
        if discardsNew { return "stream \(stream) would be full, and refuse events (\(name) = \(shown), discard = new)" }
        if more > limit { return "stream \(stream) would remove rows of this very backfill (\(name) = \(shown))" }
        guard let unread, lastSequence >= firstSequence, unread.sequence <= lastSequence else { return nil }
        // What lies between the stream's ends is reckoned in proportion to the sequence.
        let read = unread.sequence > firstSequence ? Double(unread.sequence - firstSequence) / Double(lastSequence - firstSequence + 1) : 0
        guard Double(excess) > read * Double(held) else { return nil }
        return "stream \(stream) would remove events that consumer \(ShownText.line(unread.consumer)) has not read (\(name) = \(shown))"
    }

    private func raise(_ flag: String, _ other: String) -> String {
        isNew
            ? "Make stream \(stream) with higher limits first, or set higher limits in [transport.nats.jetstream]"
            : Steps.text(["Raise the limit of the stream: `nats stream edit \(stream) \(flag)`", other])
    }

    /// A quarter more, in whole MiB.
    private static func rounded(_ byteCount: UInt64) -> UInt64 { (byteCount / 4 * 5 / (1 << 20) + 1) << 20 }
}
