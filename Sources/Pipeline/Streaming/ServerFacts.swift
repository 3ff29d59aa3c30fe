package import Capture
package import History
package import JetStreamPublishing
package import PostgresReplication
import Threads
package import WAL

/// Gathers what both servers say, for recovery, setup and status.
package enum ServerFacts {
    /// Reads it all once.
    /// - Throws: what either connection throws, and a record that cannot be read.
    static func gather(
        _ configuration: StreamerConfiguration, replication: borrowing ReplicationConnection,
        sql: borrowing SQLConnection, nats: JetStreamConnection
    ) throws(StreamerError) -> (facts: Recovery.Facts, revision: UInt64) {
        let (isInRecovery, databaseOID, slot) = try StreamerError.ofPostgres { () throws(PostgresError) in
            (try sql.isInRecovery(), try sql.databaseOID(), try sql.slot(named: configuration.source.slot))
        }
        guard !isInRecovery else { throw .serverInRecovery }
        var (facts, revision) = try gather(configuration, slot: slot, nats: nats) { () throws(PostgresError) in
            let system = try replication.identifySystem()
            return ServerHistory(
                identity: SourceIdentity(systemID: system.systemID, databaseOID: databaseOID, databaseName: system.database),
                timelines: try replication.timelineHistory(of: system.timeline), flushLSN: system.flushLSN)
        }
        // After the stream: it moves forward only, and a later look shows less of it.
        facts.anchor = try StreamerError.ofPostgres { () throws(PostgresError) in
            try sql.slot(named: ReplayWindow.anchor(of: configuration.source.slot))
        }
        return (facts, revision)
    }

    /// Reads what JetStream says, then what PostgreSQL says of its history: what a predecessor does meanwhile only makes the record later than the slot, the
    /// stream than the record, and the WAL than the stream.
    /// - Parameter slot: As it was read just now.
    package static func gather(
        _ configuration: StreamerConfiguration, slot: SlotState?, nats: some StreamReader,
        history: () throws(PostgresError) -> ServerHistory
    ) throws(StreamerError) -> (facts: Recovery.Facts, revision: UInt64) {
        let stored = try readStored(configuration.stream.name, nats)
        let history = try StreamerError.ofPostgres(history)
        var facts = Recovery.Facts(
            configuredSlot: configuration.source.slot, options: configuration.streamOptions, identity: history.identity,
            timelines: history.timelines, serverFlushLSN: history.flushLSN, slot: slot, record: stored.record,
            stream: stored.tail, streamName: configuration.stream.name)
        try readEvents(&facts, nats)
        return (facts, stored.revision)
    }

    /// What JetStream says of the record and the stream, the record first.
    static func readStored(
        _ stream: String, _ nats: some StreamReader
    ) throws(StreamerError) -> (record: CheckpointRecord?, revision: UInt64, tail: StreamTail?) {
        let (record, revision) = try checkpointRecord(of: stream, nats)
        let tail = try StreamerError.ofJetStream { () throws(JetStreamError) in try StreamTail.read(stream, over: nats) }
        return (record, revision, tail)
    }

    /// Adds what the stream's events tell, as far as record and tail call for it.
    static func readEvents(_ facts: inout Recovery.Facts, _ nats: some StreamReader) throws(StreamerError) {
        let (record, tail, identity) = (facts.record, facts.stream, facts.identity)
        if record?.isClaim ?? true, let tail, tail.messageCount > 0 {
            facts.unrecorded = try StreamerError.ofJetStream { () throws(JetStreamError) in
                try LastPresent.read(
                    facts.streamName, through: tail.lastSequence, identity: identity, over: nats)
            }
        }
        if let record, let tail, record.streamCreated == tail.created {
            do throws(JetStreamError) {
                facts.recordedEnd = try RecordedEnd.read(record, tail, identity: identity, over: nats)
                facts.newestCommit = try RecordedEnd.newestCommit(record, tail, identity: identity, over: nats)
                // Only then it decides.
                if !facts.options.isEqual(to: record.options) {
                    facts.hasUnproven = try hasUnproven(record, tail, identity, nats)
                }
            } catch {
                throw .jetStream(error)
            }
        }
    }

    /// Whether something of ours stands behind what is proven.
    private static func hasUnproven(
        _ record: CheckpointRecord, _ tail: StreamTail, _ identity: SourceIdentity, _ nats: some StreamReader
    ) throws(JetStreamError) -> Bool {
        guard tail.lastSequence > record.settled else { return false }
        var isFound = false
        try nats.readHeaders(
            record.stream, record.settled + 1...tail.lastSequence, consumer: StreamReading.consumer, isWanted: { true }
        ) { (_, messageID, _) in
            isFound = MessageID(header: messageID).map { $0.isOf(identity) && ($0.kind == .event || record.hasSkip(of: $0)) } ?? false
            return !isFound
        }
        return isFound
    }

    /// Reads both servers and judges. What a woken old leader could feign is read again until it may be believed.
    /// - Parameter pause: Waits before it is read again; given what was read, and what it would mean.
    static func assess(
        _ configuration: StreamerConfiguration, replication: borrowing ReplicationConnection,
        sql: borrowing SQLConnection, nats: JetStreamConnection, isMending: Bool = false,
        pause: (Recovery.Facts, String) throws(StreamerError) -> Void
    ) throws(StreamerError) -> (facts: Recovery.Facts, revision: UInt64, outcome: Recovery.Outcome) {
        try assess(
            configuredReplicas: configuration.stream.replicas, now: { .now },
            gather: { () throws(StreamerError) in
                var (facts, revision) = try gather(configuration, replication: replication, sql: sql, nats: nats)
                facts.isMending = isMending
                return (facts, revision)
            }, pause: pause)
    }

    /// Judges what is gathered, again and again where a woken old leader could feign it.
    /// - Parameter configuredReplicas: They count where there is no stream.
    package static func assess(
        configuredReplicas: Int, now: () -> Instant,
        gather: () throws(StreamerError) -> (facts: Recovery.Facts, revision: UInt64),
        pause: (Recovery.Facts, String) throws(StreamerError) -> Void
    ) throws(StreamerError) -> (facts: Recovery.Facts, revision: UInt64, outcome: Recovery.Outcome) {
        var suspicion = Suspicion<Recovery.Doubt>()
        while true {
            let began = now()
            let (facts, revision) = try gather()
            let outcome = Recovery.assess(facts)
            guard let what = outcome.whatTimeConfirms, facts.hasReplicas(configured: configuredReplicas),
                !suspicion.isBelievable(
                    Recovery.Doubt(outcome: outcome, stream: facts.stream),
                    isMajorityCurrent: facts.stream?.isMajorityCurrent != false, readFrom: began, to: now())
            else { return (facts, revision, outcome) }
            try pause(facts, what)
        }
    }

    /// The record and its revision; (nil, 0) where there is none, or no bucket.
    static func checkpointRecord(
        of stream: String, _ nats: some StreamReader
    ) throws(StreamerError) -> (CheckpointRecord?, UInt64) {
        let entry = try StreamerError.ofJetStream { () throws(JetStreamError) in
            try nats.bucketGet(CheckpointRecord.bucket, key: stream)
        }
        switch entry {
        case .bucketMissing, .keyMissing: return (nil, 0)
        case .deleted(let revision): return (nil, revision)
        case .value(let json, let revision):
            guard let record = try? CheckpointRecord(json: json), record.schema == CheckpointRecord.currentSchema else {
                throw .stop(
                    .configuration,
                    what: "the checkpoint record \(stream) in the bucket \(CheckpointRecord.bucket) cannot be read: another version of Slotstream wrote the record",
                    remedy: "Use the version of Slotstream that wrote the record, or set another transport.nats.stream_name")
            }
            return (record, revision)
        }
    }
}

/// Whose history PostgreSQL has, and how far.
package struct ServerHistory {
    var identity: SourceIdentity
    var timelines: TimelineHistory
    /// It has no WAL beyond it.
    var flushLSN: LSN

    package init(identity: SourceIdentity, timelines: TimelineHistory, flushLSN: LSN) {
        self.identity = identity
        self.timelines = timelines
        self.flushLSN = flushLSN
    }
}
