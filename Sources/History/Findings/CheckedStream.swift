package import JetStreamPublishing

/// What the stream is and who reads it, for `check`.
package struct CheckedStream: Sendable {
    package var name: String
    package var info: StreamInfo
    package var differences: [StreamDifference] = []
    /// What `setup` finds of bucket and consumer.
    package var found: [Finding] = []
    /// The durable ones.
    package var consumers: [ConsumerStanding] = []
    /// Streams that source from it, on a server that lets them stand still.
    package var stuckGatherers: [String] = []
    /// The server belongs to a cluster.
    package var isClustered = false
    /// Of the oldest message; nil: there is none.
    package var oldestAgeSeconds: Double?
    /// Whoever gives no name may delete messages.
    package var othersMayDelete = false

    package init(name: String, info: StreamInfo) {
        self.name = name
        self.info = info
    }

    /// What is wrong with stream, bucket and consumers.
    package var findings: [Finding] {
        var findings = [Finding.streamBreaksGuarantee(name, differences)].compactMap { $0 }
        findings += differences.filter { $0.severity == .warn }.map { .streamDiffers(name, $0) }
        findings += found
        if isClustered, info.config.replicas == 1 {
            findings.append(
                Finding(
                    .recordLessSafe, "stream \(name)", "stream \(name) has one replica on a cluster", why: "the loss of one server loses the events",
                    paste: .command("nats stream edit \(name) --replicas=3")))
        }
        if othersMayDelete, !(info.config.denyDelete && info.config.denyPurge) {
            findings.append(
                Finding(
                    .othersMayDelete, "stream \(name)", "clients without a name may delete events of stream \(name)",
                    why: "consumers miss deleted events", paste: .command("nats stream edit \(name) --deny-delete --deny-purge")))
        }
        findings += stuckGatherers.map { gatherer in
            Finding(
                .gathererStandsStill, "stream \(gatherer)", "stream \(gatherer) sources from stream \(name), and this nats-server refuses the events there",
                why: "nats-server before 2.10.14 holds an event's Nats-Expected-Last-Sequence against the stream that gathers, which stands still",
                fix: "Use nats-server 2.11 or newer")
        }
        if let finding = retention { findings.append(finding) }
        return findings + consumers.compactMap { nearEviction($0) ?? neverRead($0) }
    }

    // MARK: - How long the stream keeps an event

    private static let day = 86_400.0
    /// A stream is called full from this share of its limit on, in tenths.
    private static let fullTenths: Int64 = 9
    /// No limit of a stream is proposed beyond it.
    private static let largestLimit = Int64(1) << 40

    private func isFull(_ found: UInt64, _ limit: Int64) -> Bool {
        limit > 0 && Double(found) >= Double(limit) * Double(Self.fullTenths) / 10
    }

    private var retention: Finding? {
        let (config, state) = (info.config, info.state)
        let isBytes = isFull(state.bytes, config.maxBytes)
        guard isBytes || isFull(state.messages, config.maxMessages), state.firstSequence > 1, let age = oldestAgeSeconds, age < Self.day else {
            return nil
        }
        let limit = Double(isBytes ? config.maxBytes : config.maxMessages)
        let wanted = Int64(min(Double(Self.largestLimit), max(2 * limit, limit * 2 * Self.day / max(1, age))))
        return Finding(
            .retentionShort, "stream \(name)", "stream \(name) is full, and the oldest event is \(Self.shown(age)) old",
            why: "a consumer that is away for longer misses events",
            paste: .command("nats stream edit \(name) --\(isBytes ? "max-bytes" : "max-msgs")=\(wanted)"))
    }

    private static func shown(_ seconds: Double) -> String {
        seconds < 120 ? "\(Int(seconds)) s" : seconds < 7200 ? "\(Int(seconds / 60)) min" : "\(Int(seconds / 3600)) h"
    }

    // MARK: - Consumers

    private func nearEviction(_ consumer: ConsumerStanding) -> Finding? {
        guard consumer.isNearEviction, consumer.deliveredSequence > 0 else { return nil }
        return .consumerNearEviction(consumer, of: name, limits: raisedLimits)
    }

    /// Every limit that is set, four times as large: with that no message is near its end.
    private var raisedLimits: String {
        let config = info.config
        var flags: [String] = []
        if config.maxBytes > 0 { flags.append("--max-bytes=\(min(Self.largestLimit, 4 * config.maxBytes))") }
        if config.maxMessages > 0 { flags.append("--max-msgs=\(4 * config.maxMessages)") }
        if config.maxAgeNanoseconds > 0 { flags.append("--max-age=\(4 * (config.maxAgeNanoseconds / 1_000_000_000))s") }
        return flags.joined(separator: " ")
    }

    private func neverRead(_ consumer: ConsumerStanding) -> Finding? {
        guard consumer.deliveredSequence == 0, consumer.pendingCount > 0 else { return nil }
        return Finding(
            .consumerNeverRead, "consumer \(consumer.name)",
            "consumer \(consumer.name) of stream \(name) has never read, and is \(consumer.pendingCount) events behind",
            why: "nobody uses the consumer, or its program does not run", paste: .command("nats consumer rm \(name) \(consumer.name)"))
    }
}
