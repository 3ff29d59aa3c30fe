package import JetStreamPublishing

/// What the stream is and who reads it, for `check`.
package struct CheckedStream: Sendable {
    package var name: String
    package var info: StreamInfo
    package var differences: [StreamDifference] = []
    /// What `setup` finds of bucket and consumer.
    package var found: [Finding] = []
    package var consumers: [ConsumerInfo] = []
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
        if let finding = retention { findings.append(finding) }
        return findings + consumers.filter { $0.durableName != nil }.compactMap { nearEviction($0) ?? neverRead($0) }
    }

    // MARK: - How long the stream keeps an event

    private static let day = 86_400.0
    /// A stream is called full from this share of its limit on, in tenths.
    private static let fullTenths: Int64 = 9
    /// No limit of a stream is proposed beyond it.
    private static let largestLimit = Int64(1) << 40

    private func isFull(_ found: UInt64, _ limit: Int64, tenths: Int64 = fullTenths) -> Bool {
        limit > 0 && Double(found) >= Double(limit) * Double(tenths) / 10
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

    /// From this share of the limit on events may soon be removed, in tenths.
    private static let nearlyFullTenths: Int64 = 8

    private func nearEviction(_ consumer: ConsumerInfo) -> Finding? {
        let (config, state) = (info.config, info.state)
        let unread = consumer.pendingCount + consumer.ackPendingCount
        guard unread > 0, consumer.deliveredSequence > 0, state.messages > 0 else { return nil }
        let next = consumer.acknowledgedSequence + 1
        let isBytes = isFull(state.bytes, config.maxBytes, tenths: Self.nearlyFullTenths)
        guard isBytes || isFull(state.messages, config.maxMessages, tenths: Self.nearlyFullTenths) else { return nil }
        guard next < state.firstSequence + max(1, state.messages / 10) else { return nil }
        let limit = isBytes ? config.maxBytes : config.maxMessages
        let what =
            next < state.firstSequence
            ? "\(state.firstSequence - next) sequences that the consumer has not acknowledged are gone"
            : "the next event of the consumer is among the oldest of the stream"
        return Finding(
            .consumerNearEviction, "consumer \(consumer.name)",
            "consumer \(consumer.name) is \(unread) events behind, and stream \(name) is nearly full: \(what)",
            why: "the next events remove what the consumer has not read",
            paste: .command("nats stream edit \(name) --\(isBytes ? "max-bytes" : "max-msgs")=\(min(Self.largestLimit, 4 * limit))"))
    }

    private func neverRead(_ consumer: ConsumerInfo) -> Finding? {
        guard consumer.deliveredSequence == 0, consumer.pendingCount > 0 else { return nil }
        return Finding(
            .consumerNeverRead, "consumer \(consumer.name)",
            "consumer \(consumer.name) of stream \(name) has never read, and is \(consumer.pendingCount) events behind",
            why: "nobody uses the consumer, or its program does not run", paste: .command("nats consumer rm \(name) \(consumer.name)"))
    }
}
