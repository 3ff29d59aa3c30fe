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
    /// - Returns: What could not be asked, a sentence each.
    /// - Throws: What would fail later.
    static func ask(
        _ configuration: StreamerConfiguration, _ options: Setup.Options, facts: Recovery.Facts, plan: PublicationPlan,
        makesSlot: Bool, sql: borrowing SQLConnection, nats: JetStreamConnection
    ) throws(StreamerError) -> [String] {
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
            notes += prepared.map { "PostgreSQL will not make the slot before this has ended: \($0)" }
        }
        if facts.stream == nil { notes += try tryStream(configuration, nats) }
        return notes
    }

    // MARK: - PostgreSQL

    /// Makes the publication, or adds to it, in a transaction that is rolled back: PostgreSQL itself says what is not allowed.
    private static func tryPublication(
        _ plan: PublicationPlan, sql: borrowing SQLConnection
    ) throws(StreamerError) -> [String] {
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
        let stream = configuration.stream
        let bucket = CheckpointRecord.bucket
        var missing: [String] = []
        func ask(
            _ subject: String, of pattern: String? = nil, _ payload: [UInt8] = noRequest, headers: [(String, String)] = []
        ) throws(JetStreamError) {
            if try !nats.mayPublish(to: subject, payload, headers: headers) { missing.append(pattern ?? subject) }
        }
        do throws(JetStreamError) {
            try ask(
                "\(stream.subjectPrefix)._slotstream.ASK", of: "\(stream.subjectPrefix).>", [], headers: expectingNone)
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
        guard !missing.isEmpty else { return }
        throw .stop(
            .permissionNATS, what: "the NATS user may not publish to \(missing.joined(separator: ", "))",
            remedy: "Allow the NATS user to publish to \(missing.count == 1 ? "this subject" : "these subjects"), then run the command again")
    }

    /// Makes a stream of the same limits for a moment: only that tells whether server and account have room for it.
    private static func tryStream(
        _ configuration: StreamerConfiguration, _ nats: JetStreamConnection
    ) throws(StreamerError) -> [String] {
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
