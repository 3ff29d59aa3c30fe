package import JetStreamPublishing

/// NATS: the account, the stream, the bucket, the consumer.
extension Finding {
    /// What an error of NATS's side finds out about account and stream; nil: nothing that lasts.
    static func id(of error: JetStreamError) -> FindingID? {
        switch error {
        case .permission: .natsPermissionMissing
        case .authorization: .credentialsRefused
        case .api where error.isJetStreamMissing: .jetStreamMissing
        case .api(_, JetStreamErrorCode.subjectsOverlap, _, _): .subjectsTaken
        case .api(_, JetStreamErrorCode.storageResourcesExceeded, _, _), .api(_, JetStreamErrorCode.accountResourcesExceeded, _, _):
            .noRoom
        default: nil
        }
    }

    /// An account's storage limit on a nats-server that does not keep a stream whole under it.
    package static func storageLimit(_ limit: Int64, version: String) -> Finding {
        Finding(
            .serverVersionFault, severity: .error, "nats-server",
            "the account's JetStream storage is limited to \(limit) bytes, and nats-server \(version) leaves a hole in a stream where a message exceeds such a limit",
            fix: "Remove max_file from the account, or use nats-server 2.10.26 or newer")
    }

    /// Subjects that the NATS user may not publish to.
    package static func permissionsMissing(_ subjects: [String], _ rights: NATSRights) -> Finding {
        Finding(
            .natsPermissionMissing, "NATS user", "the NATS user may not publish to \(subjects.joined(separator: ", "))",
            fix: "Allow the NATS user to publish to \(subjects.count == 1 ? "this subject" : "these subjects"), then run the command again",
            paste: .natsServer(rights.permissions))
    }

    /// Subjects without which the streamer streams, and what is missed; nil: none is missing.
    package static func lesserPermissionsMissing(_ missing: [(subject: String, consequence: String)], _ rights: NATSRights) -> Finding? {
        guard !missing.isEmpty else { return nil }
        return Finding(
            .natsPermissionIncomplete, "NATS user", "the NATS user may not publish to \(missing.map(\.subject).joined(separator: ", "))",
            why: missing.map(\.consequence).joined(separator: "; "), paste: .natsServer(rights.permissions))
    }

    /// Other streams that have the subjects of ours.
    /// - Parameter free: A prefix that no stream captures.
    package static func subjectsTaken(_ subject: String, of stream: String, by others: [String], free: String? = nil) -> Finding {
        let removal = others.first.map { ". Or, if nobody needs that stream: nats stream rm \($0)" } ?? ""
        return Finding(
            .subjectsTaken, "stream \(stream)",
            "stream \(stream) cannot be made: stream \(others.joined(separator: ", ")) captures subjects of \(subject) already",
            fix: "\(choosesOtherSubjects)\(removal)", paste: free.map { .setting("transport.nats.subject_prefix = \"\($0)\"") })
    }

    /// What helps where another stream has our subjects.
    static let choosesOtherSubjects = "Set transport.nats.subject_prefix to subjects that no stream captures"

    /// Settings on which the guarantee does not hold; nil: none of the differences is such a one.
    package static func streamBreaksGuarantee(_ stream: String, _ differences: [StreamDifference]) -> Finding? {
        let refused = differences.filter { $0.severity == .refuse }
        guard !refused.isEmpty else { return nil }
        let list = refused.map { "\($0.key) is \($0.found), must be \($0.wanted)" }.joined(separator: "; ")
        let flags = refused.compactMap(flag)
        return Finding(
            .streamBreaksGuarantee, "stream \(stream)", "stream \(stream) cannot be used: \(list)",
            fix: "Nothing was changed. Set another transport.nats.stream_name and another transport.nats.subject_prefix, or change this stream if the stream is empty",
            paste: flags.count == refused.count ? .command("nats stream edit \(stream) \(flags.joined(separator: " "))") : nil)
    }

    /// The flag of `nats stream edit` that ends a refusal; nil: such a stream cannot be changed so.
    private static func flag(_ difference: StreamDifference) -> String? {
        switch difference.key {
        case "subjects": "--subjects='\(difference.wanted)'"
        case "no_ack": "--ack"
        case "allow_rollup_hdrs": "--no-allow-rollup"
        case "max_msgs_per_subject": "--max-msgs-per-subject=-1"
        default: nil
        }
    }

    /// A setting in which a stream is otherwise than configured; it is left as it is.
    package static func streamDiffers(_ stream: String, _ difference: StreamDifference) -> Finding {
        let (why, flag) = consequence(of: difference)
        let command = flag.map { "nats stream edit \(stream) \($0)" }
        return Finding(
            difference.key == "duplicate_window" ? .duplicateWindow : .differsFromConfiguration, "stream \(stream)",
            "stream \(stream) stays unchanged: \(difference.key) is \(shown(difference.found, difference.key)), but \(shown(difference.wanted, difference.key)) is configured",
            why: why, fix: command.map { "To change the stream: \($0)" } ?? "Set \(difference.key) of the stream to \(difference.wanted)",
            paste: command.map { .command($0) })
    }

    /// A time in seconds, where the server has nanoseconds.
    private static func shown(_ value: String, _ key: String) -> String {
        guard ["max_age", "duplicate_window"].contains(key), let nanoseconds = Int64(value) else { return value }
        return nanoseconds % 1_000_000_000 == 0 ? "\(nanoseconds / 1_000_000_000) s" : "\(Double(nanoseconds) / 1e9) s"
    }

    /// What follows from a difference, and the flag of `nats stream edit` that ends it; nil: there is none.
    private static func consequence(of difference: StreamDifference) -> (why: String, flag: String?) {
        let wanted = difference.wanted
        let seconds = "\((Int64(wanted) ?? 0) / 1_000_000_000)s"
        return switch difference.key {
        case "subjects": ("Messages on the other subjects are in the stream too", "--subjects='\(wanted)'")
        case "discard": ("A full stream refuses events, and the streamer waits until the stream has room", "--discard=\(wanted)")
        case "duplicate_window":
            ("A message that is published twice within that time is stored once. The guarantee does not depend on the window", "--dupe-window=\(seconds)")
        case "max_age": ("Events are kept for that long", "--max-age=\(seconds)")
        case "max_bytes": ("The oldest events go when the stream has that size", "--max-bytes=\(wanted)")
        case "max_msgs": ("The oldest events go when there are that many", "--max-msgs=\(wanted)")
        case "max_msg_size": ("A larger event is poison", "--max-msg-size=\(wanted)")
        case "max_msgs_per_subject": ("A subject with that many events refuses the next one", "--max-msgs-per-subject=\(wanted)")
        case "discard_new_per_subject": ("A full subject refuses events, and the streamer waits until the subject has room", "--no-discard-per-subject")
        case "num_replicas": ("The loss of that many servers loses events", "--replicas=\(wanted)")
        case "allow_direct": ("Reading single events asks the stream's leader", "--allow-direct")
        case "allow_atomic": ("A transaction is not stored as one batch", wanted == "true" ? "--allow-batch" : "--no-allow-batch")
        case "allow_batched": ("Each event is acknowledged by itself", wanted == "true" ? "--allow-fast" : "--no-allow-fast")
        default: ("The stream works otherwise than configured", nil)
        }
    }

    /// A setting in which a bucket could lose the checkpoint record.
    /// - Parameter wanted: Of `nats stream edit`, for the bucket's stream; nil: it cannot be changed on a bucket that is there.
    package static func recordLessSafe(_ bucket: String, _ setting: String, why: String, edit: String?) -> Finding {
        Finding(
            .recordLessSafe, "bucket \(bucket)", "bucket \(bucket) stays unchanged: \(setting)",
            why: "\(why); without the record the streamer stops (\(StopReason.bucketMissing.rawValue))",
            fix: edit.map { "To change the bucket: nats stream edit KV_\(bucket) \($0)" }
                ?? "While the streamer is stopped, make the bucket again and put the record back",
            paste: edit.map { .command("nats stream edit KV_\(bucket) \($0)") })
    }

    /// A setting in which a consumer is otherwise than configured; it is left as it is.
    package static func consumerDiffers(_ consumer: String, of stream: String, key: String, found: String, wanted: String) -> Finding {
        Finding(
            .differsFromConfiguration, "consumer \(consumer)",
            "consumer \(consumer) stays unchanged: \(key) is \(found), but \(wanted) is configured",
            fix: "To make the consumer anew, without its position: nats consumer rm \(stream) \(consumer), then `slotstream setup`",
            paste: .command("nats consumer rm \(stream) \(consumer) && slotstream setup"))
    }

    /// A consumer that has not read what the stream is about to remove, or has begun to.
    /// - Parameter limits: Of the stream, as flags of `nats stream edit`, large enough; empty: nothing that is gone comes back by them.
    package static func consumerNearEviction(_ standing: ConsumerStanding, of stream: String, limits: String = "") -> Finding {
        let isGone = standing.retentionLeft == 0
        let percent = Int(((standing.retentionLeft ?? 0) * 100).rounded(.down))
        return Finding(
            .consumerNearEviction, "consumer \(standing.name)",
            "stream \(stream) \(isGone ? "removes" : "is about to remove") events that consumer \(standing.name) has not acknowledged: \(standing.unreadCount) in all",
            why: isGone
                ? "The consumer never gets an event that is removed"
                : "\(percent) % of the stream's retention is left, and the consumer never gets an event that is removed",
            fix: "Let the consumer read, or raise the limits of the stream with `nats stream edit \(stream)` (max-age, max-bytes, max-msgs); or, if nobody needs the consumer: nats consumer rm \(stream) \(standing.name)",
            paste: limits.isEmpty || isGone ? nil : .command("nats stream edit \(stream) \(limits)"))
    }

    /// Atomic batches that are configured and cannot be had.
    package static func noAtomicBatches(_ stream: String, canServer: Bool) -> Finding {
        Finding(
            .differsFromConfiguration, "stream \(stream)",
            "transactions go out as chained messages: atomic batches need nats-server 2.12.1 and a stream with allow_atomic",
            fix: canServer ? "Set allow_atomic on the stream, then restart the streamer" : "Use nats-server 2.12.1 or newer")
    }
}
