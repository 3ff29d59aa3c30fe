import History
import JetStreamPublishing
import PostgresReplication

/// What setup asks both servers before it makes anything: what would fail halfway fails here, in a dry run too.
///
/// Rights are asked with messages that JetStream refuses and stores nowhere. What only doing it tells is tried in a dry run and taken back at once;
/// without one it is done, and undone where something later fails.
enum SetupQuestions {
    /// No stream is called so: JetStream refuses a message that expects it.
    private static let expectingNone = [("Nats-Expected-Stream", "slotstream_asks")]
    /// No request: JetStream answers that it cannot read it.
    private static let noRequest = Array("?".utf8)
    /// The stream that a dry run makes and deletes.
    static let triedStream = "slotstream_dry_run"

    /// - Parameters:
    ///   - plan: What is to be done about the publication.
    ///   - makesSlot: Whether the slot is still to be made.
    /// - Returns: What could not be asked, and what will be waited for.
    /// - Throws: What would fail later.
    static func ask(
        _ configuration: StreamerConfiguration, _ options: Setup.Options, facts: Recovery.Facts, plan: PublicationPlan,
        makesSlot: Bool, sql: borrowing SQLConnection, nats: JetStreamConnection
    ) throws(StreamerError) -> [Note] {
        if makesSlot {
            try Setup.requireLogicalWAL(sql)
            try Setup.requireSlotRoom(sql)
        }
        try requireRights(configuration, makesStream: facts.stream == nil, nats)
        if facts.stream == nil { try Setup.requireFreeSubjects(configuration.stream, nats) }
        guard options.isDryRun else { return [] }
        var notes = try tryPublication(plan, sql: sql)
        if makesSlot {
            let prepared = try StreamerError.ofPostgres { () throws(PostgresError) in try SlotWait.prepared(over: sql) }
            notes += prepared.map { .finding(.waitsForTransaction($0)) }
        }
        if facts.stream == nil { notes += try tryStream(configuration, nats) }
        return notes
    }

    // MARK: - PostgreSQL

    /// Makes the publication, or adds to it, in a transaction that is rolled back: PostgreSQL itself says what is not allowed.
    private static func tryPublication(
        _ plan: PublicationPlan, sql: borrowing SQLConnection
    ) throws(StreamerError) -> [Note] {
        do throws(PostgresError) {
            for statement in plan.statements {
                do throws(PostgresError) {
                    try sql.execute("BEGIN READ WRITE; SET LOCAL lock_timeout = '2s'; \(statement); ROLLBACK")
                } catch {
                    guard error.sqlState == "55P03" else { throw error }
                    try sql.execute("ROLLBACK")
                    return ["\"\(statement)\" was not tried: somebody holds a lock on a table"]
                }
            }
            return []
        } catch {
            throw .postgres(error)
        }
    }

    // MARK: - NATS

    /// All that is missing, at once.
    private static func requireRights(
        _ configuration: StreamerConfiguration, makesStream: Bool, _ nats: JetStreamConnection
    ) throws(StreamerError) {
        let missing = try missingRights(configuration, makesStream: makesStream, nats)
        guard !missing.isEmpty else { return }
        throw .found(.permissionNATS, [.permissionsMissing(missing, configuration.natsRights)])
    }

    /// Whether events may be published to the prefix.
    static func mayPublishEvents(_ stream: StreamConfiguration, _ nats: JetStreamConnection) throws(JetStreamError) -> Bool {
        try nats.mayPublish(to: askedSubject(stream), [], headers: expectingNone)
    }

    /// Whether messages of the stream may be deleted: asked with what is no request.
    static func mayDelete(_ stream: String, _ nats: JetStreamConnection) throws(JetStreamError) -> Bool {
        try nats.mayPublish(to: "$JS.API.STREAM.MSG.DELETE.\(stream)", noRequest)
    }

    private static func askedSubject(_ stream: StreamConfiguration) -> String { "\(stream.subjectPrefix)._slotstream.ASK" }

    /// The subjects to which a streamer publishes and this user may not.
    static func missingRights(
        _ configuration: StreamerConfiguration, makesStream: Bool, _ nats: JetStreamConnection
    ) throws(StreamerError) -> [String] {
        let stream = configuration.stream
        let bucket = CheckpointRecord.bucket
        var missing: [String] = []
        func ask(_ subject: String, _ payload: [UInt8] = noRequest, headers: [(String, String)] = []) throws(JetStreamError) {
            if try !nats.mayPublish(to: subject, payload, headers: headers) { missing.append(subject) }
        }
        do throws(JetStreamError) {
            if try !mayPublishEvents(stream, nats) { missing.append("\(stream.subjectPrefix).>") }
            try ask(
                JetStreamConnection.bucketSubject(bucket, key: stream.name), [], headers: expectingNone)
            if makesStream {
                try ask("$JS.API.STREAM.CREATE.\(stream.name)")
                try ask("$JS.API.STREAM.MSG.GET.\(stream.name)")
            }
            if case .bucketMissing = try nats.bucketGet(bucket, key: stream.name) {
                try ask("$JS.API.STREAM.CREATE.\(JetStreamConnection.bucketStream(bucket))")
            }
            if let consumer = configuration.consumer {
                let looking = "$JS.API.CONSUMER.INFO.\(stream.name).\(consumer.name)"
                try ask(looking, [])
                // One that is there takes no right to make it.
                var isThere = false
                if !makesStream, missing.last != looking {
                    isThere = try nats.consumerInfo(stream.name, consumer.name) != nil
                }
                if !isThere { try ask("$JS.API.CONSUMER.DURABLE.CREATE.\(stream.name).\(consumer.name)") }
            }
        } catch {
            throw .jetStream(error)
        }
        return missing
    }

    /// Those subjects that a streamer can do without and that this user may not publish to.
    static func missingLesserRights(
        _ configuration: StreamerConfiguration, _ nats: JetStreamConnection
    ) throws(StreamerError) -> [(subject: String, consequence: String)] {
        var missing: [(subject: String, consequence: String)] = []
        do throws(JetStreamError) {
            for right in configuration.natsRights.lesser {
                let isRequest = right.subject.hasPrefix("$JS.API.")
                if try !nats.mayPublish(to: right.subject, isRequest ? noRequest : [], headers: isRequest ? [] : expectingNone) {
                    missing.append(right)
                }
            }
        } catch {
            throw .jetStream(error)
        }
        return missing
    }

    /// Makes a stream of the same limits for a moment: only that tells whether server and account have room for it.
    static func tryStream(
        _ configuration: StreamerConfiguration, _ nats: JetStreamConnection
    ) throws(StreamerError) -> [Note] {
        var tried = Setup.wantedStream(configuration, nats)
        tried.name = triedStream
        tried.subjectPrefix = "\(triedStream).\(configuration.stream.name)"
        let operation = "$JS.API.STREAM.CREATE."
        do throws(JetStreamError) {
            // Who may not delete it must not make it.
            try nats.deleteStream(triedStream)
            _ = try nats.createStream(tried)
            try nats.deleteStream(triedStream)
            return []
        } catch {
            switch error {
            case .permission:
                return [
                    "whether JetStream has room for stream \(configuration.stream.name) (max_bytes = \(tried.maxBytes), replicas = \(tried.replicas)) was not tried: the NATS user may not make and delete a stream \(triedStream)"
                ]
            case .api(let code, let errCode, let description, "\(operation)\(triedStream)"):
                // As the stream itself would be refused.
                throw .jetStream(
                    .api(
                        code: code, errCode: errCode, description: description,
                        operation: "\(operation)\(configuration.stream.name)"))
            default: throw .jetStream(error)
            }
        }
    }
}
