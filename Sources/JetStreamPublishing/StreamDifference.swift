/// One setting in which a stream that exists is not the one we want.
public struct StreamDifference: Sendable, Hashable {
    /// What follows from it.
    public enum Severity: Sendable, Hashable {
        /// The guarantee does not hold on such a stream.
        case refuse
        /// The stream works, otherwise than configured.
        case warn
    }

    /// The setting, by the server's name for it.
    public var key: String
    /// What the stream has.
    public var found: String
    /// What we would have.
    public var wanted: String
    /// Whether we go on.
    public var severity: Severity

    /// Compares a stream with what is wanted; empty if they agree. What is to be refused comes first.
    public static func compare(_ found: StreamInfo.Config, _ wanted: StreamConfiguration) -> [StreamDifference] {
        refusals(found, wanted) + warnings(found, wanted)
    }

    private static func refusals(_ found: StreamInfo.Config, _ wanted: StreamConfiguration) -> [StreamDifference] {
        var list = List(severity: .refuse)
        list.note("retention", found.retention, "limits")
        list.note("storage", found.storage, "file")
        list.note("no_ack", found.noAck, false)
        list.note("sealed", found.sealed, false)
        if !found.subjects.contains(where: { covers($0, wanted.subject) }) {
            list.differences.append(
                StreamDifference(
                    key: "subjects", found: found.subjects.joined(separator: " "), wanted: wanted.subject,
                    severity: .refuse))
        }
        // Confirmed before it is on disk, asynchronous persistence makes an ack worth nothing.
        list.note("persist_mode", found.persistMode == "async" ? "async" : "default", "default")
        // Whoever else writes to the stream, or changes or removes what is in it, breaks the chain of sequences.
        list.note("mirror", found.mirror ?? "none", "none")
        list.note("sources", found.sources.isEmpty ? "none" : found.sources.joined(separator: " "), "none")
        list.note("subject_transform", found.hasSubjectTransform, false)
        list.note("allow_msg_ttl", found.allowMessageTTL, false)
        list.note("subject_delete_marker_ttl", found.subjectDeleteMarkerTTLNanoseconds, 0)
        list.note("allow_msg_schedules", found.allowMessageSchedules, false)
        list.note("allow_msg_counter", found.allowMessageCounter, false)
        // What is removed in the middle cannot be told from a hole.
        list.note("allow_rollup_hdrs", found.allowRollup, false)
        if !found.discardNewPerSubject { list.note("max_msgs_per_subject", limit(found.maxMessagesPerSubject), -1) }
        return list.differences
    }

    private static func warnings(_ found: StreamInfo.Config, _ wanted: StreamConfiguration) -> [StreamDifference] {
        var list = List(severity: .warn)
        let others = found.subjects.filter { $0 != wanted.subject }
        if !others.isEmpty, found.subjects.contains(where: { covers($0, wanted.subject) }) {
            list.note("subjects", found.subjects.joined(separator: " "), wanted.subject)
        }
        list.note("discard", found.discard, "old")
        list.note("duplicate_window", found.duplicateWindowNanoseconds, Int64(wanted.duplicateWindow.nanoseconds))
        list.note("max_age", found.maxAgeNanoseconds, Int64(wanted.maxAge.nanoseconds))
        list.note("max_bytes", limit(found.maxBytes), limit(wanted.maxBytes))
        list.note("max_msgs", limit(found.maxMessages), limit(wanted.maxMessages))
        list.note("max_msg_size", limit(found.maxMessageSize), -1)
        // A full subject refuses what is new, and keeps what it has.
        if found.discardNewPerSubject { list.note("max_msgs_per_subject", limit(found.maxMessagesPerSubject), -1) }
        list.note("discard_new_per_subject", found.discardNewPerSubject, false)
        list.note("num_replicas", found.replicas, wanted.replicas)
        list.note("allow_direct", found.allowDirect, true)
        list.note("allow_atomic", found.allowAtomic, wanted.allowAtomic)
        list.note("allow_batched", found.allowBatched, wanted.allowBatched)
        return list.differences
    }

    /// Whether every subject that `filter` matches is matched by `pattern` too.
    static func covers(_ pattern: String, _ filter: String) -> Bool {
        let wide = pattern.split(separator: ".", omittingEmptySubsequences: false)
        let narrow = filter.split(separator: ".", omittingEmptySubsequences: false)
        for (index, token) in wide.enumerated() {
            // `>` stands for one token or more.
            if token == ">" { return index < narrow.count }
            guard index < narrow.count, narrow[index] != ">" else { return false }
            guard token == "*" || token == narrow[index] else { return false }
        }
        return wide.count == narrow.count
    }

    /// Servers take 0 for "no limit" and show -1.
    private static func limit(_ value: Int64) -> Int64 { value <= 0 ? -1 : value }

    private struct List {
        let severity: Severity
        var differences: [StreamDifference] = []

        mutating func note<Value: Equatable>(_ key: String, _ found: Value, _ wanted: Value) {
            guard found != wanted else { return }
            differences.append(
                StreamDifference(key: key, found: "\(found)", wanted: "\(wanted)", severity: severity))
        }
    }
}
