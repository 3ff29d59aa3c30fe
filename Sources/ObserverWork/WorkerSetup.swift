package import History
package import JetStreamPublishing
import WAL

/// What a worker needs in JetStream: the durable consumer, the stream of dead letters, the stream that keeps the server's advisories.
package enum WorkerSetup {
    /// Where a consumer begins that is made.
    package enum Start: Sendable, Hashable {
        case first, new
        case sequence(UInt64)

        var readers: MessageReader.Start {
            switch self {
            case .first: .first
            case .new: .new
            case .sequence(let sequence): .sequence(sequence)
            }
        }
    }

    /// What was found or made.
    package struct Outcome: Sendable {
        package var created: [String] = []
        /// In what the consumer differs from the configuration.
        package var differences: [String] = []
        package var consumer: ConsumerInfo
        package var streamCreated: String
        /// Whether a place to begin at was given, and the consumer was there already.
        package var isStartUnused = false
    }

    /// How long a dead letter's id is remembered: an event that dies twice dies within it.
    private static let duplicateWindow = Duration.seconds(24 * 3_600)
    private static let deadByteCount: Int64 = 256 << 20
    private static let advisoriesByteCount: Int64 = 16 << 20
    /// Of the consumer of advisories.
    private static let advisoryAckWait = Duration.seconds(30)

    /// Finds or makes all of it.
    ///
    /// - Parameter start: nil: where the record does not tell of a consumer that was there, at the first message; else the consumer is lost, and nothing is made.
    /// - Throws: `.stop` for what nobody but a person can mend.
    package static func perform(
        _ configuration: WorkerConfiguration, start: Start?, over connection: JetStreamConnection
    ) throws(StreamerError) -> Outcome {
        var created: [String] = []
        let stream = try stream(configuration, over: connection)
        let (record, _) = try StreamerError.ofJetStream { () throws(JetStreamError) in try WorkerRecord.read(configuration, over: connection) }
        try StreamerError.ofJetStream { () throws(JetStreamError) in
            try connection.createBucket(CheckpointRecord.bucket, replicas: configuration.replicas)
        }
        created += try makeStreams(configuration, over: connection)
        let consumer = try StreamerError.ofJetStream { () throws(JetStreamError) in
            // The consumer of advisories first: nothing is delivered before there is somebody who hears of its end.
            _ = try connection.createConsumer(
                configuration.advisoryStream, name: configuration.consumer,
                filter: configuration.advisorySubject(consumer: configuration.consumer), ackWait: advisoryAckWait, maxDeliver: -1)
            return try connection.consumerInfo(configuration.stream, configuration.consumer)
        }
        if let consumer {
            try refuseUnusable(consumer, configuration)
            return Outcome(
                created: created, differences: differences(consumer, configuration), consumer: consumer, streamCreated: stream.created,
                isStartUnused: start != nil)
        }
        if let record, start == nil { throw lostConsumer(record, stream, configuration) }
        let made = try StreamerError.ofJetStream { () throws(JetStreamError) in
            try connection.createConsumer(
                configuration.stream, name: configuration.consumer, filter: "\(configuration.subjectPrefix).>", ackWait: configuration.ackWait,
                maxDeliver: configuration.maxDeliver, from: start?.readers ?? .first)
        }
        created.append("consumer \(configuration.consumer) of stream \(configuration.stream)")
        return Outcome(created: created, consumer: made, streamCreated: stream.created)
    }

    /// Makes the worker's own streams where they are missing.
    /// - Returns: What was made now.
    @discardableResult
    static func makeStreams(_ configuration: WorkerConfiguration, over connection: JetStreamConnection) throws(StreamerError) -> [String] {
        var created: [String] = []
        for wanted in [deadStream(configuration), advisoryStream(configuration)] where try make(wanted, over: connection) {
            created.append("stream \(wanted.name)")
        }
        return created
    }

    private static func stream(
        _ configuration: WorkerConfiguration, over connection: JetStreamConnection
    ) throws(StreamerError) -> StreamInfo {
        let found = try StreamerError.ofJetStream { () throws(JetStreamError) in try connection.streamInfo(configuration.stream) }
        if let found { return found }
        let (record, _) = try StreamerError.ofJetStream { () throws(JetStreamError) in try WorkerRecord.read(configuration, over: connection) }
        guard record == nil else {
            throw .stop(
                .streamMissing, what: "the stream \(configuration.stream), from which this worker had events, is not there any more",
                remedy: Steps.text([
                    "Find the person or the program that deleted the stream, and see what the streamer says: `slotstream status`",
                    "When the streamer has made the stream anew, let a new consumer begin at its first event: `slotstream-observer setup --from first`",
                    "Start the worker: `slotstream-observer run`",
                ]))
        }
        throw .jetStream(
            .api(
                code: 503, errCode: JetStreamErrorCode.streamNotFound,
                description: "the stream is not there yet: start the streamer, or type slotstream setup", operation: "stream \(configuration.stream)"))
    }

    private static func lostConsumer(
        _ record: WorkerRecord, _ stream: StreamInfo, _ configuration: WorkerConfiguration
    ) -> StreamerError {
        let isSameStream = record.streamCreated == stream.created
        return .stop(
            .consumerMissing,
            what: "the consumer \(configuration.consumer) of stream \(configuration.stream) is not there any more. "
                + (isSameStream
                    ? "The worker had acknowledged everything up to sequence \(record.ackFloor)"
                    : "The stream was made anew meanwhile, and its sequences began again"),
            remedy: remedyForLostConsumer(acknowledged: isSameStream ? record.ackFloor : nil))
    }

    /// - Parameter acknowledged: Everything up to it is done; nil: the stream is another one.
    package static func remedyForLostConsumer(acknowledged: UInt64?) -> String {
        Steps.text([
            acknowledged.map {
                "Make the consumer again where the old one was: `slotstream-observer setup --from \($0 + 1)`. Some events behind sequence \($0) may be done already, and are done again"
            } ?? "Let a new consumer begin at the stream's first event: `slotstream-observer setup --from first`. The actions of every event in the stream are done",
            "To leave out all events that are stored now, make the consumer so instead: `slotstream-observer setup --from new`",
            "Start the worker: `slotstream-observer run`",
        ])
    }

    // MARK: - Streams

    private static func deadStream(_ configuration: WorkerConfiguration) -> StreamConfiguration {
        var stream = StreamConfiguration(
            name: configuration.deadStream, subjectPrefix: configuration.deadStream, duplicateWindow: duplicateWindow, maxBytes: deadByteCount,
            replicas: configuration.replicas)
        // A full one must not lose what nobody has looked at: events wait then.
        stream.discardsNew = true
        return stream
    }

    private static func advisoryStream(_ configuration: WorkerConfiguration) -> StreamConfiguration {
        var stream = StreamConfiguration(
            name: configuration.advisoryStream, subjectPrefix: "", duplicateWindow: .seconds(120), maxBytes: advisoriesByteCount,
            replicas: configuration.replicas)
        stream.otherSubject = configuration.advisorySubject(consumer: "*")
        return stream
    }

    /// - Returns: Whether it was made now.
    private static func make(_ wanted: StreamConfiguration, over connection: JetStreamConnection) throws(StreamerError) -> Bool {
        let found = try StreamerError.ofJetStream { () throws(JetStreamError) in try connection.streamInfo(wanted.name) }
        if let found {
            guard found.config.subjects.contains(wanted.subject) else {
                throw .stop(
                    .configuration, what: "the stream \(wanted.name) is there, and does not capture \(wanted.subject)",
                    remedy: "Rename the stream \(wanted.name), or add the subject \(wanted.subject) to the stream")
            }
            return false
        }
        do throws(JetStreamError) {
            _ = try connection.createStream(wanted)
            return true
        } catch {
            // Another worker was faster.
            if error.errCode == JetStreamErrorCode.streamNameInUse { return false }
            throw .jetStream(error)
        }
    }

    // MARK: - The consumer

    private static func refuseUnusable(_ found: ConsumerInfo, _ configuration: WorkerConfiguration) throws(StreamerError) {
        let fault: String? =
            if found.deliverSubject != nil { "pushes its messages" } else if found.ackPolicy != "explicit" {
                "has the ack policy \(found.ackPolicy), not explicit"
            } else if found.priorityPolicy != nil, found.priorityPolicy != "pinned_client", found.priorityPolicy != "none" {
                "has the priority policy \(found.priorityPolicy ?? "")"
            } else { nil }
        guard let fault else { return }
        throw .stop(
            .configuration, what: "the consumer \(configuration.consumer) of stream \(configuration.stream) \(fault): a worker cannot use the consumer",
            remedy: "Set transport.nats.consumer_name to another name")
    }

    /// What an existing consumer does otherwise than the configuration says; it is left as it is.
    package static func differences(_ found: ConsumerInfo, _ configuration: WorkerConfiguration) -> [String] {
        var differences: [String] = []
        let ackWait = Duration.nanoseconds(found.ackWaitNanoseconds)
        if ackWait != configuration.ackWait {
            differences.append("ack_wait is \(ackWait / .seconds(1)) s, and transport.nats.jetstream.ack_wait_secs \(configuration.ackWait / .seconds(1))")
        }
        if found.maxDeliver != configuration.maxDeliver {
            differences.append("max_deliver is \(found.maxDeliver), and transport.nats.jetstream.max_deliver \(configuration.maxDeliver)")
        }
        let filter = "\(configuration.subjectPrefix).>"
        if found.filterSubjects != [filter] {
            differences.append(
                "the filter is \(found.filterSubjects.isEmpty ? "empty" : found.filterSubjects.joined(separator: " ")), and not \(filter)")
        }
        return differences
    }
}
