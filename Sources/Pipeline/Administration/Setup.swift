import Capture
import Glibc
package import History
import JetStreamPublishing
import PostgresReplication
import Synchronization
package import Threads
import WAL

/// Makes what a first start needs, in an order that can be repeated after any interruption: publication, stream, bucket, a claim in it, slot, first record, consumer.
///
/// Nothing that exists is altered, but for tables that are added to the publication.
package enum Setup {
    package struct Options: Sendable {
        /// Take a slot that is there as it stands.
        package var adoptsSlot: Bool
        /// Begin behind what another writer stored in the stream.
        package var startsAfterForeign: Bool
        /// Say what would be done.
        package var isDryRun: Bool
        /// Publish tables of which UPDATE and DELETE then fail in the application.
        package var allowsNoIdentity: Bool
        /// For the fault tests.
        package var failpoints: Failpoints

        package init(
            adoptsSlot: Bool = false, startsAfterForeign: Bool = false, isDryRun: Bool = false, allowsNoIdentity: Bool = false,
            failpoints: Failpoints = .none
        ) {
            self.adoptsSlot = adoptsSlot
            self.startsAfterForeign = startsAfterForeign
            self.isDryRun = isDryRun
            self.allowsNoIdentity = allowsNoIdentity
            self.failpoints = failpoints
        }
    }

    /// What was done, or would be, and what is worth knowing; a sentence each.
    package struct Outcome: Sendable, Equatable {
        package var created: [String] = []
        package var notes: [Note] = []

        static func + (first: Outcome, second: Outcome) -> Outcome {
            Outcome(created: first.created + second.created, notes: first.notes + second.notes)
        }
    }

    /// Connects to both servers and sets up.
    ///
    /// - Parameters:
    ///   - onDoubt: Told what is to be read again before it is believed.
    ///   - onSlotWait: Told what PostgreSQL waits for when it has not made the slot after a second, and again whenever that changes.
    ///   - onFailure: Told what became of what was made before something failed; the error follows.
    package static func run(
        _ configuration: StreamerConfiguration, options: Options, onDoubt: (String) -> Void,
        onSlotWait: (SlotWait) -> Void, onFailure: (SetupUndoing.Report) -> Void
    ) throws(StreamerError) -> Outcome {
        let notices = Mutex<[Note]>([])
        let servers = try ServerConnections(configuration) { notice in
            notices.withLock { $0.append(.other("PostgreSQL says (\(notice.sqlState)) \(notice)")) }
        }
        var outcome = try perform(
            configuration, options: options, replication: servers.replication, sql: servers.sql, nats: servers.nats,
            onDoubt: onDoubt, onSlotWait: onSlotWait, onFailure: onFailure)
        outcome.notes += notices.withLock { $0 }
        return outcome
    }

    /// The SQL that a DBA runs instead of `setup`: replica identities, publication and slot.
    ///
    /// - Parameter allowsNoIdentity: Whether tables stay without replica identity.
    package static func sql(
        _ configuration: StreamerConfiguration, allowsNoIdentity: Bool
    ) throws(StreamerError) -> [String] {
        let plan: PublicationPlan
        var statements: [String] = []
        do throws(PostgresError) {
            let sql = try SQLConnection(configuration.source.connection, isReadOnly: true)
            plan = try PublicationPlan.read(configuration.source, over: sql)
            if try sql.slot(named: configuration.source.slot) == nil {
                let slot = quoteLiteral(configuration.source.slot)
                let failover = configuration.source.failover && sql.serverVersion >= 170_000
                statements.append(
                    "SELECT pg_catalog.pg_create_logical_replication_slot(\(slot), 'pgoutput'\(failover ? ", failover => true" : ""))")
            }
        } catch {
            throw .postgres(error)
        }
        return try plan.script(allowsNoIdentity: allowsNoIdentity) + statements
    }

    /// - Parameters:
    ///   - isWanted: Asked once a second while the server makes the slot, and before the stream is read again; false gives it up.
    ///   - onDoubt: Told what is to be read again before it is believed.
    ///   - onSlotWait: Told what the server waits for when it has not made the slot after a second, and again whenever that changes.
    ///   - onFailure: Told what became of what was made before something failed; the error follows.
    static func perform(
        _ configuration: StreamerConfiguration, options: Options, replication: borrowing ReplicationConnection,
        sql: borrowing SQLConnection, nats: JetStreamConnection, isWanted: () -> Bool = { true }, onDoubt: (String) -> Void,
        onSlotWait: (SlotWait) -> Void, onFailure: (SetupUndoing.Report) -> Void
    ) throws(StreamerError) -> Outcome {
        try requireAccount(nats)
        let (facts, revision, assessed) = try ServerFacts.assess(
            configuration, replication: replication, sql: sql, nats: nats
        ) { (_, what) throws(StreamerError) in
            onDoubt(what)
            sleep(1)
            guard isWanted() else { throw .cancelled }
        }
        let isSlotToBeMade: Bool
        switch assessed {
        case .proceed(let plan):
            isSlotToBeMade = false
            try requireSendable(configuration, plan, facts, sql: sql)
        case .firstStart: isSlotToBeMade = true
        case .refuse(let reason, let what, let remedy, _):
            guard try mayBegin(over: reason, facts, options, nats: nats) else {
                throw .stop(reason, what: what, remedy: remedy)
            }
            isSlotToBeMade = true
        }
        // A slot that cannot be made or taken is refused before anything is made for it.
        if isSlotToBeMade, let slot = facts.slot { _ = try position(ofExisting: slot, facts, sql) }
        let plan = try StreamerError.ofPostgres { () throws(PostgresError) in
            try PublicationPlan.read(configuration.source, over: sql)
        }
        try plan.requireMeant(allowsNoIdentity: options.allowsNoIdentity)
        let notes = try SetupQuestions.ask(
            configuration, options, facts: facts, plan: plan, makesSlot: isSlotToBeMade && facts.slot == nil, sql: sql,
            nats: nats)
        var made = SetupUndoing()
        do throws(StreamerError) {
            var outcome = try setUpPublication(plan, options, sql: sql, &made)
            outcome.notes = notes + outcome.notes
            outcome = outcome + (try setUpStream(configuration, options, found: facts.stream != nil, nats: nats, &made))
            if isSlotToBeMade {
                let slot = try setUpSlot(
                    configuration, options, facts: facts, revision: revision, replication: replication, sql: sql,
                    nats: nats, &made, isWanted: isWanted, onSlotWait: onSlotWait)
                outcome = outcome + slot
            }
            return outcome + (try setUpConsumer(configuration, options, nats: nats))
        } catch {
            if let report = made.undo(after: error, configuration, sql: sql, nats: nats) { onFailure(report) }
            throw error
        }
    }

    /// Whether a refusal is one that these options were given for.
    private static func mayBegin(
        over reason: StopReason, _ facts: Recovery.Facts, _ options: Options, nats: JetStreamConnection
    ) throws(StreamerError) -> Bool {
        // A slot that was there before anything was set up takes an option of its own, whatever else is in the way.
        if facts.slot != nil, facts.record == nil, !options.adoptsSlot { return false }
        let isUnwritten = facts.stream.map { $0.message == .never } ?? true
        if isUnwritten { return facts.slot != nil && facts.record == nil }
        guard options.startsAfterForeign, Recovery.mayBeginAfterForeign(facts),
            [.foreignMessage, .slotMissing, .bucketMissing].contains(reason)
        else { return false }
        try requireForeign(facts, nats: nats)
        return true
    }

    /// Looks through the whole stream, not only through its end, before it is begun behind what others stored in it.
    private static func requireForeign(_ facts: Recovery.Facts, nats: JetStreamConnection) throws(StreamerError) {
        var whole = facts
        let last = facts.stream?.lastSequence ?? 0
        whole.unrecorded = try StreamerError.ofJetStream { () throws(JetStreamError) in
            let first = try nats.streamInfo(facts.streamName)?.state.firstSequence ?? 1
            return try LastPresent.read(
                facts.streamName, through: last, searchCount: last - min(first, last) + 1, identity: facts.identity,
                over: nats)
        }
        guard whole.unrecorded != .none,
            case .refuse(let reason, let what, let remedy, _)? = Recovery.refusal(ofUnrecorded: whole)
        else { return }
        throw .stop(reason, what: what, remedy: remedy)
    }

    /// Refuses a slot behind which the publication was made, or made again: a streamer would stop there. Who streams from it finds out by himself.
    static func requireSendable(
        _ configuration: StreamerConfiguration, _ plan: Recovery.Plan, _ facts: Recovery.Facts,
        sql: borrowing SQLConnection
    ) throws(StreamerError) {
        guard let slot = facts.slot, !slot.isActive else { return }
        let state = try StreamerError.ofPostgres { () throws(PostgresError) in
            try PublicationState.read(configuration.source, over: sql)
        }
        guard state.isThere, !state.isOlderThanSlot,
            let obstacle = try SlotPassage.obstacle(
                configuration, plan, lastSequence: facts.stream?.lastSequence ?? 0, sql: sql)
        else { return }
        throw obstacle.stop(slot: configuration.source.slot, publication: configuration.source.publication)
    }

    // MARK: - Steps

    private static func setUpPublication(
        _ plan: PublicationPlan, _ options: Options, sql: borrowing SQLConnection, _ made: inout SetupUndoing
    ) throws(StreamerError) -> Outcome {
        do throws(PostgresError) {
            for statement in plan.statements where !options.isDryRun {
                // The one thing that our ordinary sessions write.
                try sql.execute("BEGIN READ WRITE; \(statement); COMMIT")
                made.publication(by: statement)
                options.failpoints.reached(.afterPublication)
            }
        } catch {
            throw .postgres(error)
        }
        return Outcome(created: plan.statements, notes: plan.allNotes)
    }

    static func setUpStream(
        _ configuration: StreamerConfiguration, _ options: Options, found: Bool, nats: JetStreamConnection,
        _ made: inout SetupUndoing
    ) throws(StreamerError) -> Outcome {
        var outcome = Outcome(notes: try bucketFindings(configuration, nats).map { .finding($0) })
        if found {
            outcome.notes += try compareStream(configuration, nats).map { .finding($0) }
        } else {
            outcome.created.append("stream \(configuration.stream.name) with the subjects \(configuration.stream.subject)")
        }
        do throws(JetStreamError) {
            if !found, !options.isDryRun {
                made.streamCreated = try nats.createStream(wantedStream(configuration, nats)).created
                options.failpoints.reached(.afterStream)
            }
            let entry = try nats.bucketGet(CheckpointRecord.bucket, key: configuration.stream.name)
            if case .bucketMissing = entry {
                outcome.created.append("key-value bucket \(CheckpointRecord.bucket)")
                if !options.isDryRun {
                    try nats.createBucket(CheckpointRecord.bucket, replicas: configuration.stream.replicas)
                    made.hasBucket = true
                    options.failpoints.reached(.afterBucket)
                }
            }
        } catch {
            throw .jetStream(error)
        }
        return outcome
    }

    static func setUpConsumer(
        _ configuration: StreamerConfiguration, _ options: Options, nats: JetStreamConnection
    ) throws(StreamerError) -> Outcome {
        guard let consumer = configuration.consumer else { return Outcome() }
        do throws(JetStreamError) {
            let step = ["durable consumer \(consumer.name)"]
            // Where the stream is still to be made, only a dry run comes here: there is nothing to ask.
            guard try nats.streamInfo(configuration.stream.name) != nil else { return Outcome(created: step) }
            if let found = try nats.consumerInfo(configuration.stream.name, consumer.name) {
                return Outcome(notes: differences(found, consumer, of: configuration.stream).map { .finding($0) })
            }
            if options.isDryRun { return Outcome(created: step) }
            _ = try nats.createConsumer(
                configuration.stream.name, name: consumer.name, filter: configuration.stream.subject,
                ackWait: consumer.ackWait, maxDeliver: consumer.maxDeliver)
            options.failpoints.reached(.afterConsumer)
            return Outcome(created: step)
        } catch {
            throw .jetStream(error)
        }
    }

    /// In what a consumer that is there is not as configured; it is left as it is.
    static func differences(
        _ found: ConsumerInfo, _ wanted: StreamerConfiguration.Consumer, of stream: StreamConfiguration
    ) -> [Finding] {
        let values: [(key: String, found: String, wanted: String)] = [
            ("ack_wait", "\(Double(found.ackWaitNanoseconds) / 1e9) s", "\(wanted.ackWait.seconds) s"),
            ("max_deliver", "\(found.maxDeliver)", "\(wanted.maxDeliver)"),
            ("filter_subject", found.filterSubject, stream.subject),
        ]
        return values.filter { $0.found != $0.wanted }.map {
            .consumerDiffers(wanted.name, of: stream.name, key: $0.key, found: $0.found, wanted: $0.wanted)
        }
    }

    static func put(
        _ record: CheckpointRecord, expecting revision: UInt64, _ nats: JetStreamConnection
    ) throws(StreamerError) -> UInt64 {
        do throws(JetStreamError) {
            return try nats.bucketPut(
                CheckpointRecord.bucket, key: record.stream, value: record.json(), expectedRevision: revision)
        } catch {
            if error.isWrongLastSequence {
                throw .checkpointConflict("another setup is under way for stream \(record.stream)")
            }
            throw .jetStream(error)
        }
    }

    // MARK: - What a streamer requires

    /// Refuses an account with a storage limit on nats-server before 2.10: it stores what exceeds the limit, takes it out again and keeps the sequence used, so that a smaller message after it is chained to a hole.
    static func requireAccount(_ nats: JetStreamConnection) throws(StreamerError) {
        guard let version = nats.serverVersion, let number = ServerVersion(version), number < ServerVersion(2, 10, 0)
        else { return }
        let limit: Int64?
        do throws(JetStreamError) {
            limit = try nats.storageLimit()
        } catch {
            // Who may not ask is not told.
            if error.isPermission { return }
            throw .jetStream(error)
        }
        guard let limit else { return }
        throw .found(.configuration, [.storageLimit(limit, version: version)])
    }

    /// Refuses a server whose settings let it make no slot for us.
    static func requireLogicalDecoding(_ sql: borrowing SQLConnection) throws(StreamerError) {
        try requireLogicalWAL(sql)
        try requirePlugin(sql)
    }

    /// Refuses a server whose WAL says too little for a slot. From PostgreSQL 19 on it says more as soon as there is one.
    private static func requireLogicalWAL(_ sql: borrowing SQLConnection) throws(StreamerError) {
        guard sql.serverVersion < 190_000 else { return }
        let rows = try StreamerError.ofPostgres { () throws(PostgresError) in
            try sql.query("SELECT pg_catalog.current_setting('wal_level')")
        }
        guard let level = rows.first?.first.flatMap({ $0 }), level != "logical" else { return }
        throw .found(.configuration, [.walLevel(level)])
    }

    /// Refuses a server that makes no slot with the plugin. A role that may not read the setting learns of it from PostgreSQL's refusal.
    private static func requirePlugin(_ sql: borrowing SQLConnection) throws(StreamerError) {
        let rows = try StreamerError.ofPostgres { () throws(PostgresError) in
            try sql.query("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'output_plugin_libraries'")
        }
        guard let libraries = rows.first?.first.flatMap({ $0 }), !CheckedServer.allowsPlugin(libraries) else { return }
        throw .found(.configuration, [.pluginForbidden(libraries)])
    }

    /// The stream as it is made on this server.
    static func wantedStream(
        _ configuration: StreamerConfiguration, _ nats: some StreamReader
    ) -> StreamConfiguration {
        var stream = configuration.stream
        stream.allowAtomic = configuration.delivery.isAtomic && nats.takesAtomicBatches
        stream.allowBatched = nats.takesFastBatches
        return stream
    }

    /// Refuses a stream on which the guarantee does not hold.
    /// - Returns: What is only otherwise than configured; it is left as it is.
    static func compareStream(
        _ configuration: StreamerConfiguration, _ nats: some StreamReader
    ) throws(StreamerError) -> [Finding] {
        let info = try StreamerError.ofJetStream { () throws(JetStreamError) in
            try nats.streamInfo(configuration.stream.name)
        }
        guard let info else { return [] }
        let differences = StreamDifference.compare(info.config, wantedStream(configuration, nats))
        if let refusal = Finding.streamBreaksGuarantee(configuration.stream.name, differences) {
            throw .found(.configuration, [refusal])
        }
        return differences.map { .streamDiffers(configuration.stream.name, $0) }
    }

    /// Refuses a subject template that names a column which no published table has: all its events would go to `%unknown`.
    static func requireColumns(
        _ configuration: StreamerConfiguration, sql: borrowing SQLConnection
    ) throws(StreamerError) {
        let names: [String]
        do throws(CaptureError) {
            names = try SubjectTemplate(configuration.capture.subjectTemplate).columnNames
        } catch {
            throw .capture(error)
        }
        guard !names.isEmpty else { return }
        let found = try StreamerError.ofPostgres { () throws(PostgresError) in
            try sql.query(
                """
                WITH RECURSIVE \(PublishedTables.parts(candidates: PublishedTables.everyTable, publication: "$1"))
                SELECT DISTINCT a.attname FROM published t
                JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
                """, [configuration.source.publication])
        }
        let columns = Set(found.compactMap { $0.first.flatMap { $0 } }.map { Array($0.utf8) })
        guard let missing = names.first(where: { !columns.contains(Array($0.utf8)) }) else { return }
        throw .found(
            .configuration,
            [
                .ruleNamesNothing(
                    "events.subject", severity: .error,
                    "events.subject names {column:\(missing)}, but no table of publication \(configuration.source.publication) has this column",
                    fix: "Set a column of a published table in events.subject")
            ])
    }

    /// A publication made after the slot would not be seen by what the slot decodes first.
    static func requirePublication(
        _ configuration: StreamerConfiguration, sql: borrowing SQLConnection
    ) throws(StreamerError) {
        let found = try StreamerError.ofPostgres { () throws(PostgresError) in
            try sql.query("SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = $1", [configuration.source.publication])
        }
        guard !found.isEmpty else {
            throw .found(
                .configuration,
                [.publicationMissing(configuration.source.publication, state: "but slot \(configuration.source.slot) does")])
        }
    }
}
