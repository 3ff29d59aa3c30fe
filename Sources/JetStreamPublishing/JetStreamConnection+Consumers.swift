import FoundationEssentials

extension JetStreamConnection {
    /// Asks for a consumer; nil if there is no such consumer.
    public func consumerInfo(
        _ stream: String, _ name: String, timeout: Duration = apiTimeout
    ) throws(JetStreamError) -> ConsumerInfo? {
        do throws(JetStreamError) {
            let (info, _): (ConsumerInfo, [UInt8]) = try call(
                "$JS.API.CONSUMER.INFO.\(try Self.checked(stream)).\(try Self.checked(name))", timeout: timeout)
            return info
        } catch {
            if error.errCode == JetStreamErrorCode.consumerNotFound { return nil }
            throw error
        }
    }

    /// Asks for the stream's consumers: one page of the server's (256), and how many there are in all.
    public func consumers(
        _ stream: String, timeout: Duration = apiTimeout
    ) throws(JetStreamError) -> (consumers: [ConsumerInfo], totalCount: Int) {
        let (page, _): (ConsumerPage, [UInt8]) = try call(
            "$JS.API.CONSUMER.LIST.\(try Self.checked(stream))", timeout: timeout)
        let consumers = page.consumers ?? []
        return (consumers, max(page.total ?? 0, consumers.count))
    }

    private struct ConsumerPage: Decodable {
        // null where there is none.
        var consumers: [ConsumerInfo]?
        var total: Int?
    }

    /// Creates a durable pull consumer that delivers all and wants each message acknowledged. One that exists is left as
    /// it is, whatever its settings.
    /// - Parameters:
    ///   - maxDeliver: -1: no limit.
    ///   - start: Which message it delivers first.
    /// - Returns: The consumer, found or made.
    public func createConsumer(
        _ stream: String, name: String, filter: String, ackWait: Duration, maxDeliver: Int,
        from start: MessageReader.Start = .first, timeout: Duration = apiTimeout
    ) throws(JetStreamError) -> ConsumerInfo {
        if let existing = try consumerInfo(stream, name, timeout: timeout) { return existing }
        let subject = "$JS.API.CONSUMER.DURABLE.CREATE.\(stream).\(name)"
        var config = ConsumerRequest.Config(
            durableName: name, ackPolicy: "explicit", filterSubject: filter, deliverPolicy: "all", ackWait: ackWait.nanoseconds,
            maxDeliver: maxDeliver)
        config.begin(at: start)
        let request = ConsumerRequest(streamName: stream, config: config)
        let (info, _): (ConsumerInfo, [UInt8]) = try call(
            subject, try Self.encode(request, operation: subject), timeout: timeout)
        return info
    }

    /// Creates an ephemeral pull consumer that wants no acks, for ``MessageReader``.
    /// - Returns: Its name, and how many messages it has to deliver.
    func createReadingConsumer(
        _ stream: String, _ start: MessageReader.Start, filter: String?, timeout: Duration
    ) throws(JetStreamError) -> (name: String, pendingCount: UInt64) {
        let subject = "$JS.API.CONSUMER.CREATE.\(stream)"
        var config = ConsumerRequest.Config(
            ackPolicy: "none", filterSubject: filter, deliverPolicy: "all", memStorage: true,
            inactiveThreshold: MessageReader.inactiveThreshold.nanoseconds)
        config.begin(at: start)
        let request = ConsumerRequest(streamName: stream, config: config)
        let (info, _): (ConsumerInfo, [UInt8]) = try call(
            subject, try Self.encode(request, operation: subject), timeout: timeout)
        return (info.name, info.pendingCount)
    }

    /// Creates a pull consumer of a fixed name that delivers headers alone, from `sequence` on, and wants no acks.
    ///
    /// One server keeps it, in memory: not always the stream's leader. It is refused while one of that name exists with another start.
    /// - Returns: How many messages that server has to deliver.
    func createHeaderConsumer(
        _ stream: String, name: String, from sequence: UInt64, timeout: Duration, isWanted: () -> Bool
    ) throws(JetStreamError) -> UInt64 {
        let subject = "$JS.API.CONSUMER.CREATE.\(stream).\(name)"
        let request = ConsumerRequest(
            streamName: stream,
            config: ConsumerRequest.Config(
                name: name, ackPolicy: "none", deliverPolicy: "by_start_sequence", optStartSeq: max(1, sequence),
                memStorage: true, inactiveThreshold: HeaderReader.inactiveThreshold.nanoseconds, headersOnly: true,
                numReplicas: 1))
        let (info, _): (ConsumerInfo, [UInt8]) = try call(
            subject, try Self.encode(request, operation: subject), timeout: timeout, isWanted: isWanted)
        return info.pendingCount
    }

    /// Deletes a consumer that is no longer read; one that is not there is no error.
    public func deleteConsumer(
        _ stream: String, _ name: String, timeout: Duration, isWanted: () -> Bool = { true }
    ) throws(JetStreamError) {
        do throws(JetStreamError) {
            let _: (Empty, [UInt8]) = try call(
                "$JS.API.CONSUMER.DELETE.\(stream).\(name)", timeout: timeout, isWanted: isWanted)
        } catch {
            if error.errCode != JetStreamErrorCode.consumerNotFound { throw error }
        }
    }

    private struct Empty: Decodable {}

    /// Named as the server names them, in its snake_case.
    private struct ConsumerRequest: Encodable {
        struct Config: Encodable {
            var name: String?
            var durableName: String?
            var ackPolicy: String
            var filterSubject: String?
            var deliverPolicy: String
            var optStartSeq: UInt64?
            var optStartTime: String?
            var replayPolicy = "instant"
            var ackWait: UInt64?
            var maxDeliver: Int?
            var memStorage: Bool?
            var inactiveThreshold: UInt64?
            var headersOnly: Bool?
            var numReplicas: Int?

            mutating func begin(at start: MessageReader.Start) {
                switch start {
                case .first: break
                case .new:
                    deliverPolicy = "new"
                case .sequence(let sequence):
                    deliverPolicy = "by_start_sequence"
                    optStartSeq = max(1, sequence)
                case .time(let time):
                    deliverPolicy = "by_start_time"
                    optStartTime = time
                }
            }
        }
        var streamName: String
        var config: Config
    }
}
