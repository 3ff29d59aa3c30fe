import FoundationEssentials

extension JetStreamConnection {
    /// Asks for a stream's settings and state; nil if there is no such stream.
    public func streamInfo(_ name: String, timeout: Duration = apiTimeout) throws(JetStreamError) -> StreamInfo? {
        try streamInfo(name, timeout: timeout, isWanted: { true })
    }

    /// The same for as long as it is wanted.
    func streamInfo(
        _ name: String, timeout: Duration, isWanted: () -> Bool
    ) throws(JetStreamError) -> StreamInfo? {
        do throws(JetStreamError) {
            var (info, raw): (StreamInfo, [UInt8]) = try call(
                "$JS.API.STREAM.INFO.\(try Self.checked(name))", timeout: timeout, isWanted: isWanted)
            info.raw = raw
            return info
        } catch {
            if error.errCode == JetStreamErrorCode.streamNotFound { return nil }
            throw error
        }
    }

    /// The bytes that the account's streams may store in files; nil: no limit.
    public func storageLimit(timeout: Duration = apiTimeout) throws(JetStreamError) -> Int64? {
        try accountStorage(timeout: timeout).limit
    }

    /// The bytes that the account's streams may store in files (nil: no limit), and those that they have stored, or reserved where that is more.
    public func accountStorage(timeout: Duration = apiTimeout) throws(JetStreamError) -> (limit: Int64?, taken: Int64) {
        let (info, _): (AccountInfo, [UInt8]) = try call("$JS.API.INFO", timeout: timeout)
        let parts = [info.whole] + (info.tiers ?? [:]).values
        let limited = parts.filter { ($0.limits?.maxStorage ?? 0) > 0 }
        let least = limited.min { ($0.limits?.maxStorage ?? 0) < ($1.limits?.maxStorage ?? 0) }
        let part = least ?? info.whole
        return (least?.limits?.maxStorage, max(part.storage ?? 0, part.reservedStorage ?? 0))
    }

    private struct AccountInfo: Decodable {
        struct Limits: Decodable {
            var maxStorage: Int64

            enum CodingKeys: String, CodingKey {
                case maxStorage = "max_storage"
            }
        }
        /// The whole account, or one of its tiers.
        struct Part: Decodable {
            var limits: Limits?
            var storage: Int64?
            var reservedStorage: Int64?

            enum CodingKeys: String, CodingKey {
                case limits, storage
                case reservedStorage = "reserved_storage"
            }
        }
        var whole: Part
        var tiers: [String: Part]?

        private enum CodingKeys: String, CodingKey {
            case tiers
        }

        init(from decoder: any Decoder) throws {
            whole = try Part(from: decoder)
            tiers = try decoder.container(keyedBy: CodingKeys.self).decodeIfPresent([String: Part].self, forKey: .tiers)
        }
    }

    /// The subjects, of those that `filter` matches, on which the stream holds messages, each with their number; `isWhole`: all of them, not only the
    /// first page of a great many.
    public func subjects(
        _ stream: String, matching filter: String, timeout: Duration = apiTimeout
    ) throws(JetStreamError) -> (counts: [String: UInt64], isWhole: Bool) {
        let subject = "$JS.API.STREAM.INFO.\(try Self.checked(stream))"
        let (answer, _): (SubjectsAnswer, [UInt8]) = try call(
            subject, try Self.encode(SubjectsRequest(subjectsFilter: filter), operation: subject), timeout: timeout)
        let found = answer.state.subjects ?? [:]
        return (found, (answer.total ?? found.count) <= found.count)
    }

    private struct SubjectsRequest: Encodable {
        var subjectsFilter: String
    }

    private struct SubjectsAnswer: Decodable {
        struct State: Decodable {
            var subjects: [String: UInt64]?
        }
        var state: State
        var total: Int?
    }

    /// Creates a stream. One that exists with the very same settings is left as it is.
    /// - Throws: `.api` with ``JetStreamErrorCode/streamNameInUse`` if one exists with others, or with whatever the server
    ///   has against it.
    public func createStream(
        _ configuration: StreamConfiguration, timeout: Duration = apiTimeout
    ) throws(JetStreamError) -> StreamInfo {
        let subject = "$JS.API.STREAM.CREATE.\(try Self.checked(configuration.name))"
        var (info, raw): (StreamInfo, [UInt8]) = try call(
            subject, try Self.encode(configuration, operation: subject), timeout: timeout)
        info.raw = raw
        return info
    }

    /// The names of streams that capture a subject which `filter` matches too.
    public func streamNames(
        capturing filter: String, timeout: Duration = apiTimeout
    ) throws(JetStreamError) -> [String] {
        let subject = "$JS.API.STREAM.NAMES"
        let (response, _): (NamesResponse, [UInt8]) = try call(
            subject, try Self.encode(NamesRequest(subject: filter), operation: subject), timeout: timeout)
        return response.streams ?? []
    }

    private struct NamesRequest: Encodable {
        var subject: String
    }

    private struct NamesResponse: Decodable {
        // null where there is none.
        var streams: [String]?
    }

    /// The stream's last message, as its leader has it; nil if there is none at `last_seq`: nothing was ever stored, or it
    /// was deleted, purged or has expired.
    ///
    /// Not linearizable on replicated streams: a leader that does not know yet that it was replaced answers with what it
    /// has.
    public func lastMessage(_ stream: String, timeout: Duration = apiTimeout) throws(JetStreamError) -> StoredMessage? {
        try message(stream, MessageRequest(lastBySubject: ">"), timeout: timeout)
    }

    /// The stream's last message on the subjects that `subject` matches, as its leader has it; nil if there is none.
    public func lastMessage(
        _ stream: String, subject: String, timeout: Duration = apiTimeout
    ) throws(JetStreamError) -> StoredMessage? {
        try message(stream, MessageRequest(lastBySubject: subject), timeout: timeout)
    }

    /// The message at `sequence`, as the stream's leader has it; nil if there is none.
    public func message(
        _ stream: String, sequence: UInt64, timeout: Duration = apiTimeout
    ) throws(JetStreamError) -> StoredMessage? {
        let found = try message(stream, MessageRequest(sequence: sequence), timeout: timeout)
        guard found.map({ $0.sequence == sequence }) ?? true else {
            throw .malformedResponse(operation: "message \(sequence) of stream \(stream)")
        }
        return found
    }

    /// The sequence of the first message at or behind `sequence` on a subject that `filter` matches; nil if there is none.
    public func firstSequence(
        _ stream: String, from sequence: UInt64, matching filter: String, timeout: Duration = apiTimeout
    ) throws(JetStreamError) -> UInt64? {
        try message(stream, MessageRequest(sequence: sequence, nextBySubject: filter), timeout: timeout)?.sequence
    }

    /// Removes the message at `sequence`; one that is not there is no error.
    public func deleteMessage(_ stream: String, sequence: UInt64, timeout: Duration = apiTimeout) throws(JetStreamError) {
        let subject = "$JS.API.STREAM.MSG.DELETE.\(try Self.checked(stream))"
        do throws(JetStreamError) {
            let _: (Empty, [UInt8]) = try call(
                subject, try Self.encode(DeleteRequest(seq: sequence), operation: subject), timeout: timeout)
        } catch {
            let isGone = error.errCode == JetStreamErrorCode.messageNotFound || error.errCode == JetStreamErrorCode.sequenceNotFound
            if !isGone { throw error }
        }
    }

    private struct DeleteRequest: Encodable {
        var seq: UInt64
        /// Not written over with random bytes: faster, and what was in it was in the stream for a long time.
        var noErase = true
    }

    /// Asks the stream's leader to step down. On a stream with one replica the server refuses.
    public func stepDownLeader(_ stream: String, timeout: Duration = apiTimeout) throws(JetStreamError) {
        let _: (Empty, [UInt8]) = try call(
            "$JS.API.STREAM.LEADER.STEPDOWN.\(try Self.checked(stream))", timeout: timeout)
    }

    private struct Empty: Decodable {}

    private struct MessageRequest: Encodable {
        var sequence: UInt64?
        var lastBySubject: String?
        /// The first on it from `sequence` on.
        var nextBySubject: String?

        enum CodingKeys: String, CodingKey {
            case sequence = "seq"
            case lastBySubject = "last_by_subj"
            case nextBySubject = "next_by_subj"
        }
    }

    private struct MessageResponse: Decodable {
        struct Message: Decodable {
            var subject: String
            var seq: UInt64
            // Base64; left out when empty.
            var hdrs: Data?
            var data: Data?
            var time: String?
        }
        var message: Message
    }

    private func message(
        _ stream: String, _ request: MessageRequest, timeout: Duration
    ) throws(JetStreamError) -> StoredMessage? {
        let subject = "$JS.API.STREAM.MSG.GET.\(try Self.checked(stream))"
        do throws(JetStreamError) {
            let (response, _): (MessageResponse, [UInt8]) = try call(
                subject, try Self.encode(request, operation: subject), timeout: timeout)
            let message = response.message
            return StoredMessage(
                subject: message.subject, sequence: message.seq,
                headers: message.hdrs.map { StoredMessage.headers(block: [UInt8]($0)) } ?? [],
                payload: message.data.map { [UInt8]($0) } ?? [], storedAt: message.time)
        } catch {
            if error.errCode == JetStreamErrorCode.messageNotFound { return nil }
            throw error
        }
    }
}
