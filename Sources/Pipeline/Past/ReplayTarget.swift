import Capture

import History
import JetStreamPublishing
import WAL

/// Where a replay goes, or a backfill: a stream and a prefix that the live stream knows nothing of.
struct ReplayTarget: Sendable, Equatable {
    /// What goes there.
    enum Purpose {
        case replay
        case backfill

        /// What was not done, and a prefix that would do.
        fileprivate var words: (refused: String, prefix: String, remedy: String) {
            switch self {
            case .replay: ("nothing was replayed", "replay.today", "The events never go into the live stream again")
            case .backfill: ("nothing was asked for", "backfill.today", "For the live stream leave out --into-prefix and --into-stream")
            }
        }
    }

    var stream: String
    var prefix: String
    /// The stream was made for it.
    var isNew: Bool
    /// The stream's creation time.
    var created: String
    var lastSequence: UInt64
    /// nil: no limit.
    var maxMessageSize: Int?

    /// Finds the target, or makes its stream.
    ///
    /// - Parameters:
    ///   - prefix: nil: that of the stream.
    ///   - stream: nil: whichever stream captures the prefix.
    ///   - purpose: For errors.
    /// - Throws: `.stop` with 78 for a target that is the live stream, or feeds it.
    static func find(
        prefix: String?, stream: String?, _ configuration: StreamerConfiguration, for purpose: Purpose = .replay, isDryRun: Bool, over nats: JetStreamConnection
    ) throws(StreamerError) -> ReplayTarget {
        let live = configuration.stream.name
        guard stream != live else { throw refused("stream \(live) is the live stream", purpose) }
        var found: StreamInfo?
        if let stream { found = try StreamerError.ofJetStream { () throws(JetStreamError) in try nats.streamInfo(stream) } }
        let prefix = if let prefix { prefix } else { try own(prefix: found, named: stream) }
        guard SubjectPrefix.isValid(prefix) else {
            throw .stop(
                .configuration, what: "the prefix \"\(prefix)\" cannot be used in a subject",
                remedy: "Use tokens of A-Z a-z 0-9 _ - with dots between them, such as --into-prefix \(purpose.words.prefix)")
        }
        try requireApart(prefix, of: live, configuration, purpose, over: nats)
        if let found { return try existing(found, prefix, purpose) }
        let names = try StreamerError.ofJetStream { () throws(JetStreamError) in try nats.streamNames(capturing: prefix + ".>") }
        if let stream {
            guard names.isEmpty else {
                throw refused("the subjects \(prefix).> belong to stream \(names[0]) already, so stream \(stream) cannot be created", purpose)
            }
        } else if let name = names.first {
            guard names.count == 1 else { throw refused("several streams capture subjects of \(prefix).>: \(names.joined(separator: ", "))", purpose) }
            let info = try StreamerError.ofJetStream { () throws(JetStreamError) in try nats.streamInfo(name) }
            if let info { return try existing(info, prefix, purpose) }
        }
        return try make(stream ?? prefix.replacing(".", with: "_"), prefix, configuration, purpose, isDryRun: isDryRun, over: nats)
    }

    private static func refused(_ what: String, _ purpose: Purpose) -> StreamerError {
        .stop(
            .configuration, what: "\(purpose.words.refused): \(what)",
            remedy: "Name another target, such as --into-prefix \(purpose.words.prefix). \(purpose.words.remedy)")
    }

    /// The prefix of a stream's only subject; of a stream that is to be made, its name.
    private static func own(prefix found: StreamInfo?, named stream: String?) throws(StreamerError) -> String {
        guard let found else { return stream ?? "" }
        guard found.config.subjects.count == 1, let subject = found.config.subjects.first, subject.hasSuffix(".>") else {
            throw .stop(
                .configuration,
                what: "stream \(found.config.name) captures \(found.config.subjects.isEmpty ? "no subject" : found.config.subjects.joined(separator: ", ")), so the stream does not tell the prefix",
                remedy: "Add the prefix: --into-prefix PREFIX")
        }
        return String(subject.dropLast(2))
    }

    /// What is published to the prefix must not reach the live stream, neither now nor by its configuration.
    private static func requireApart(
        _ prefix: String, of live: String, _ configuration: StreamerConfiguration, _ purpose: Purpose, over nats: JetStreamConnection
    ) throws(StreamerError) {
        let subject = prefix + ".>"
        guard !SubjectPrefix.overlaps(subject, configuration.capture.subjectPrefix + ".>") else {
            throw refused("the live stream \(live) captures \(configuration.capture.subjectPrefix).>, and also takes \(prefix)", purpose)
        }
        let info = try StreamerError.ofJetStream { () throws(JetStreamError) in try nats.streamInfo(live) }
        if let taken = info?.config.subjects.first(where: { SubjectPrefix.overlaps(subject, $0) }) {
            throw refused("the live stream \(live) captures \(taken), and also takes \(prefix)", purpose)
        }
    }

    private static func existing(_ info: StreamInfo, _ prefix: String, _ purpose: Purpose) throws(StreamerError) -> ReplayTarget {
        guard info.config.subjects.contains(where: { SubjectPrefix.covers($0, prefix + ".>") }) else {
            throw refused("stream \(info.config.name) does not capture \(prefix).>", purpose)
        }
        return ReplayTarget(
            stream: info.config.name, prefix: prefix, isNew: false, created: info.created, lastSequence: info.state.lastSequence,
            maxMessageSize: info.config.messageSizeLimit)
    }

    private static func make(
        _ name: String, _ prefix: String, _ configuration: StreamerConfiguration, _ purpose: Purpose, isDryRun: Bool, over nats: JetStreamConnection
    ) throws(StreamerError) -> ReplayTarget {
        guard !isDryRun else { return ReplayTarget(stream: name, prefix: prefix, isNew: true, created: "", lastSequence: 0) }
        var wanted = configuration.stream
        wanted.name = name
        wanted.subjectPrefix = prefix
        wanted.allowAtomic = false
        wanted.allowBatched = false
        let info = try StreamerError.ofJetStream { () throws(JetStreamError) in try nats.createStream(wanted) }
        var target = try existing(info, prefix, purpose)
        target.isNew = true
        return target
    }
}

/// What a subject filter and a prefix have to do with each other.
enum SubjectPrefix {
    /// Whether it can begin a subject.
    static func isValid(_ prefix: String) -> Bool {
        let tokens = prefix.split(separator: ".", omittingEmptySubsequences: false)
        return !tokens.isEmpty && !prefix.hasPrefix("$") && tokens.allSatisfy { token in
            !token.isEmpty && token.utf8.allSatisfy { isPlain($0) }
        }
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "%"):
            true
        default: false
        }
    }

    /// Whether a subject exists that both filters match.
    static func overlaps(_ one: String, _ other: String) -> Bool {
        let (one, other) = (one.split(separator: "."), other.split(separator: "."))
        for (left, right) in zip(one, other) {
            if left == ">" || right == ">" { return true }
            if left != right, left != "*", right != "*" { return false }
        }
        return one.count == other.count
    }

    /// Whether `filter` matches every subject that `other` matches.
    static func covers(_ filter: String, _ other: String) -> Bool {
        let (filter, other) = (filter.split(separator: "."), other.split(separator: "."))
        for (index, token) in filter.enumerated() {
            if token == ">" { return other.count > index }
            guard index < other.count, other[index] != ">" else { return false }
            if token != "*", token != other[index] { return false }
        }
        return filter.count == other.count
    }
}
