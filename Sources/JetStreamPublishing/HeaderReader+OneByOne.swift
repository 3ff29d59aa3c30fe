/// Where no consumer is to be had: one request a message, many under way. The right to make them every streamer has.
extension HeaderReader {
    /// Requests under way at first, and as many more with each answer, up to `requestLimit` and `answerByteCountLimit`.
    private static let firstRequestLimit = 8
    /// How many requests may be under way.
    private static let requestLimit = 256
    /// How many bytes of answers may be under way, judged by the largest so far: they carry the bodies.
    private static let answerByteCountLimit = 8 * 1_024 * 1_024
    /// After as many sequences in a row that are not there the next that is there is asked for.
    private static let missingRunLimit = 64
    /// How long one answer may take.
    private static let answerTime: Duration = .seconds(2)

    private struct Request {
        var sequence: UInt64
        var number: UInt64
        var waiter: PendingReplies.Waiter
    }

    /// Reads from the next message that is there until many in a row are missing, or the range ends.
    ///
    /// What is missing at its end is not passed: the next turn asks what is left.
    mutating func readOneByOne(
        _ isWanted: () -> Bool, _ body: JetStreamConnection.HeaderHandler
    ) throws(JetStreamError) -> Turn {
        switch try rest(isWanted) {
        case .none: return .ended
        case .unknown: return .broken
        case .beginsAt(let sequence): next = sequence
        }
        let subject = StoredHeader.requestSubject(stream)
        var open: [Request] = []
        // Where the oldest stands: the array is taken apart from its front, and moved together now and then.
        var oldest = 0
        var unasked: UInt64? = next
        var limit = Self.firstRequestLimit
        var largestByteCount = 1
        var missingCount = 0
        defer { for request in open[oldest...] { connection.state.replies.close(request.number) } }
        while true {
            while let sequence = unasked, open.count - oldest < limit {
                let (number, waiter) = connection.state.replies.open(subject)
                open.append(Request(sequence: sequence, number: number, waiter: waiter))
                unasked = sequence < last ? sequence + 1 : nil
                try connection.send(subject, Array(#"{"seq":\#(sequence)}"#.utf8), []) { $0.setRequest(number) }
            }
            guard oldest < open.count else { return .broken }
            let request = open[oldest]
            if let answer = try stored(request, subject, isWanted) {
                missingCount = 0
                largestByteCount = max(largestByteCount, answer.byteCount)
                let goesOn = answer.header.withBytes { (id, subject) in
                    handOut(request.sequence, id, subject, isWanted, body)
                }
                guard goesOn else { return .ended }
            } else {
                missingCount += 1
                guard missingCount < Self.missingRunLimit, isStillWanted(isWanted) else { return .broken }
            }
            connection.state.replies.close(request.number)
            oldest += 1
            if oldest >= Self.requestLimit {
                open.removeFirst(oldest)
                oldest = 0
            }
            limit = max(1, min(limit * 2, Self.requestLimit, Self.answerByteCountLimit / largestByteCount))
        }
    }

    /// The message that `request` is about, with the size of the answer; nil if it is not there.
    private func stored(
        _ request: Request, _ subject: String, _ isWanted: () -> Bool
    ) throws(JetStreamError) -> (header: StoredHeader, byteCount: Int)? {
        do throws(JetStreamError) {
            let answer = try request.waiter.answer(Self.answerTime, isWanted: isWanted)
            return (try StoredHeader.read(answer, operation: subject), answer.count)
        } catch {
            if error.errCode == JetStreamErrorCode.messageNotFound { return nil }
            throw error
        }
    }
}
