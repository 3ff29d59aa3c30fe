import Glibc

/// Reads the headers of a range of stored messages, by a pull consumer or one by one.
///
/// It works in turns. A turn ends with the range, or with whatever breaks it — a message missing from the run, a consumer that is gone, a reconnect, silence —
/// and the next begins after the last message that was handed out.
struct HeaderReader {
    /// How a turn ended.
    enum Turn {
        /// All is read, or no more is wanted.
        case ended
        /// Something broke, or is not there yet.
        case broken
        /// The server does not let us have the consumer.
        case refused
    }

    /// After this the server drops a consumer that nobody pulls from.
    static let inactiveThreshold: Duration = .seconds(10)
    /// Without a message for as long the caller is to look again.
    static let silenceLimit: Duration = .seconds(5)
    /// How many messages are asked for at a time.
    static let pullCount = 2_048
    /// How many bytes of headers and subjects are asked for at a time; two pulls may be open.
    static let pullByteCount = 4 * 1_024 * 1_024

    /// After as much silence the consumer is made anew.
    private static let turnSilence: Duration = .seconds(1)
    /// How long one answer of JetStream's may take.
    private static let answerTime: Duration = .seconds(2)
    /// Between looks at whether it is still wanted.
    private static let wantedStep: Duration = .milliseconds(100)
    /// How many turns by a consumer may bring nothing before it is given up.
    private static let emptyTurnLimit = 2
    /// Between attempts.
    private static let retryMicroseconds: useconds_t = 50_000

    let connection: JetStreamConnection
    let stream: String
    let consumer: String
    /// The last sequence of the range.
    let last: UInt64
    /// The first sequence that has not been handed out or passed.
    var next: UInt64
    /// Whether nobody wants more.
    private(set) var isGivenUp = false
    private var heardAt = ContinuousClock.now
    private var askedAt = ContinuousClock.now

    /// Of `range` of `stream`, both names checked.
    init(_ connection: JetStreamConnection, _ stream: String, _ range: ClosedRange<UInt64>, consumer: String) {
        self.connection = connection
        self.stream = stream
        self.consumer = consumer
        last = range.upperBound
        // No message has the sequence 0.
        next = max(1, range.lowerBound)
    }

    /// Hands out the whole range.
    mutating func read(
        _ isWanted: () -> Bool, _ body: JetStreamConnection.HeaderHandler
    ) throws(JetStreamError) {
        var isByConsumer = true
        var hasConsumer = false
        var emptyTurnCount = 0
        defer {
            // Best effort: the server drops it by itself.
            if hasConsumer { try? connection.deleteConsumer(stream, consumer, timeout: .seconds(1), isWanted: isWanted) }
        }
        while next <= last, isStillWanted(isWanted, atOnce: true) {
            let began = next
            var trouble = JetStreamError.timedOut(operation: "read headers of \(stream)")
            do throws(JetStreamError) {
                hasConsumer = hasConsumer || isByConsumer
                switch isByConsumer ? try readByConsumer(isWanted, body) : try readOneByOne(isWanted, body) {
                case .ended: return
                case .broken: break
                case .refused: isByConsumer = false
                }
            } catch {
                guard error.isTransient else { throw error }
                trouble = error
            }
            if next > began {
                emptyTurnCount = 0
                continue
            }
            emptyTurnCount += 1
            if isByConsumer, emptyTurnCount >= Self.emptyTurnLimit {
                // Its server may stand still: it need not be the one that leads the stream.
                isByConsumer = false
                heardAt = .now
            } else if isSilent(for: Self.silenceLimit), isStillWanted(isWanted, atOnce: true) {
                throw trouble
            }
            usleep(Self.retryMicroseconds)
        }
    }

    /// Hands out one message, unless it lies outside of what is left of the range.
    /// - Returns: Whether there is more to be read.
    mutating func handOut(
        _ sequence: UInt64, _ messageID: UnsafeBufferPointer<UInt8>?, _ subject: UnsafeBufferPointer<UInt8>,
        _ isWanted: () -> Bool, _ body: JetStreamConnection.HeaderHandler
    ) -> Bool {
        heardAt = .now
        guard sequence >= next else { return true }
        guard sequence <= last else { return false }
        let goesOn =
            if let messageID { body(sequence, messageID.span, subject.span) } else { body(sequence, nil, subject.span) }
        guard goesOn else {
            isGivenUp = true
            return false
        }
        next = sequence &+ 1
        return sequence < last && isStillWanted(isWanted)
    }

    /// Whether the caller wants more; asked now, or when that is due.
    mutating func isStillWanted(_ isWanted: () -> Bool, atOnce: Bool = false) -> Bool {
        guard !isGivenUp else { return false }
        guard atOnce || .now - askedAt >= Self.wantedStep else { return true }
        askedAt = .now
        isGivenUp = !isWanted()
        return !isGivenUp
    }

    /// Whether nothing was heard for `duration`.
    func isSilent(for duration: Duration) -> Bool { .now - heardAt >= duration }

    // MARK: - What is left

    /// What of the range is left, as a leader says that has all of it.
    enum Rest {
        /// The next message that is there.
        case beginsAt(UInt64)
        /// Nothing is left.
        case none
        /// The stream is not there yet, as its leader sees it: perhaps it is none any more.
        case unknown
    }

    /// Asks what is left.
    func rest(_ isWanted: () -> Bool) throws(JetStreamError) -> Rest {
        let before = try info(isWanted)
        guard before.state.lastSequence >= last else { return .unknown }
        guard before.state.firstSequence <= last else { return .none }
        if let present = try present(from: max(next, before.state.firstSequence), isWanted), present <= last {
            return .beginsAt(present)
        }
        // Whoever answered in between was the leader: it is the same before and after.
        let after = try info(isWanted)
        return after.state.lastSequence >= last && after.cluster?.leader == before.cluster?.leader ? .none : .unknown
    }

    private func info(_ isWanted: () -> Bool) throws(JetStreamError) -> StreamInfo {
        guard let info = try connection.streamInfo(stream, timeout: Self.answerTime, isWanted: isWanted) else {
            throw .api(
                code: 404, errCode: JetStreamErrorCode.streamNotFound, description: "stream not found",
                operation: "read headers of \(stream)")
        }
        return info
    }

    /// The first message at `sequence` or after it that is there.
    private func present(from sequence: UInt64, _ isWanted: () -> Bool) throws(JetStreamError) -> UInt64? {
        let subject = StoredHeader.requestSubject(stream)
        do throws(JetStreamError) {
            let answer = try connection.request(
                subject, Array(#"{"seq":\#(sequence),"next_by_subj":">"}"#.utf8), headers: [], timeout: Self.answerTime,
                isWanted: isWanted)
            return try StoredHeader.read(answer, operation: subject).sequence
        } catch {
            if error.errCode == JetStreamErrorCode.messageNotFound { return nil }
            throw error
        }
    }

    // MARK: - By a consumer

    /// One consumer's turn.
    private mutating func readByConsumer(
        _ isWanted: () -> Bool, _ body: JetStreamConnection.HeaderHandler
    ) throws(JetStreamError) -> Turn {
        let connectCount = connection.state.connectCount
        let inbox = try connection.openInbox()
        guard let pendingCount = try makeConsumer(isWanted) else { return .refused }
        if pendingCount == 0, case .none = try rest(isWanted) { return .ended }
        var consumerSequence: UInt64 = 0
        var openCount = 0
        while isStillWanted(isWanted) {
            let wanted = Int(clamping: min(UInt64(Self.pullCount), last - next + 1))
            if openCount < min(wanted, Self.pullCount / 2) {
                try pull(wanted - openCount, inbox.subject)
                openCount = wanted
            }
            guard let message = try inbox.next(timeout: Self.wantedStep) else {
                if isSilent(for: Self.turnSilence) || connection.state.connectCount != connectCount {
                    if case .none = try rest(isWanted) { return .ended }
                    return .broken
                }
                continue
            }
            guard let delivery = Delivery(reply: message.reply) else {
                // A pull has ended; without a remainder the consumer has.
                guard let remainder = message.pullRemainder else { return .broken }
                openCount = max(0, openCount - remainder)
                continue
            }
            consumerSequence += 1
            // One was lost on the way.
            guard delivery.consumerSequence == consumerSequence else { return .broken }
            openCount -= 1
            guard handOut(delivery.streamSequence, message.messageID, message.subject, isWanted, body) else { return .ended }
            if delivery.pendingCount == 0, case .none = try rest(isWanted) { return .ended }
        }
        return .ended
    }

    /// Replaces the consumer; nil if the server does not let us.
    private func makeConsumer(_ isWanted: () -> Bool) throws(JetStreamError) -> UInt64? {
        do throws(JetStreamError) {
            do throws(JetStreamError) {
                try connection.deleteConsumer(stream, consumer, timeout: Self.answerTime, isWanted: isWanted)
            } catch {
                // Without that right, or with one that cannot be deleted: creating it will tell.
                guard Self.isRefusal(error) else { throw error }
            }
            return try connection.createHeaderConsumer(
                stream, name: consumer, from: next, timeout: Self.answerTime, isWanted: isWanted)
        } catch {
            guard Self.isRefusal(error) else { throw error }
            return nil
        }
    }

    private static func isRefusal(_ error: JetStreamError) -> Bool {
        switch error {
        case .permission: true
        case .api(_, let errCode, _, _): errCode != JetStreamErrorCode.streamNotFound && !error.isTransient
        default: false
        }
    }

    private func pull(_ count: Int, _ reply: String) throws(JetStreamError) {
        let body =
            #"{"batch":\#(count),"max_bytes":\#(Self.pullByteCount),"expires":\#(Self.inactiveThreshold.nanoseconds)}"#
        try connection.publish("$JS.API.CONSUMER.MSG.NEXT.\(stream).\(consumer)", Array(body.utf8), reply: reply)
    }
}
