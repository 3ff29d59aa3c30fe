import Capture
import Glibc
import JetStreamPublishing
import PostgresReplication
public import WAL

/// The deliberate way on over lost history: stores a gap marker, so that consumers know of it too, and puts the record there.
///
/// In an order that can be repeated: slot, stream and bucket are made where they are missing, then the marker is stored, then the
/// record written. Whatever is interrupted in between stops a streamer with 73 until this is run again.
public enum GapAcceptance {
    /// What is not in the stream, and what was stored instead.
    public struct Gap: Sendable, Equatable {
        public var reason: StopReason
        /// What happened, as the streamer says it.
        public var what: String
        /// Up to there the stream is whole; 0/0: nobody knows.
        public var fromLSN: LSN
        /// From there on it goes on. The same as `fromLSN` or before it: no change was lost, only the knowledge of it.
        public var toLSN: LSN
        public var stream: String
        public var subject: String
        /// Of the marker; nil: a dry run.
        public var sequence: UInt64?
        public var created: [String] = []
    }

    /// Lost history that a streamer can go on after: the slot's changes from now on are of the history that the stream has, or the stream has none.
    static let acceptable: Set<StopReason> = [
        .slotMissing, .slotAhead, .slotInvalidated, .slotUnconfirmed, .streamMissing, .streamRecreated, .streamPurged,
        .streamTailLost, .bucketMissing,
    ]

    /// Connects to both servers and does it.
    /// - Parameter acceptedBy: Who takes the responsibility; consumers read it.
    /// - Returns: nil: nothing is lost, and nothing was done.
    /// - Throws: `.slotActive` while a streamer runs; what cannot be accepted with its own reason and remedy.
    public static func run(
        _ configuration: StreamerConfiguration, acceptedBy: String, isDryRun: Bool
    ) throws(StreamerError) -> Gap? {
        let parameters = configuration.source.connection
        var replication = try StreamerError.ofPostgres { () throws(PostgresError) in
            try ReplicationConnection(parameters)
        }
        let sql = try StreamerError.ofPostgres { () throws(PostgresError) in try SQLConnection(parameters) }
        let link = try NATSLink(configuration.nats, stream: configuration.stream.name)
        defer { link.connection.close() }
        let nats = link.connection

        let (facts, revision, refusal) = try lostHistory(configuration, replication: replication, sql: sql, nats: nats)
        guard let refusal else { return nil }
        if let slot = facts.slot, slot.isActive { throw .slotActive(pid: slot.activePID) }
        guard acceptable.contains(refusal.reason) else {
            throw .stop(refusal.reason, what: refusal.what, remedy: refusal.remedy)
        }
        let stored = try storedPosition(facts, configuration, nats)
        var gap = Gap(
            reason: refusal.reason, what: refusal.what, fromLSN: start(of: refusal.reason, facts, stored),
            toLSN: .invalid,
            stream: configuration.stream.name, subject: "\(configuration.capture.subjectPrefix)._slotstream.GAP")
        gap.toLSN = try setUpSlot(configuration, facts, isDryRun, &gap, replication: &replication, sql: sql)
        try setUpStream(configuration, facts, isDryRun, &gap, nats)
        if isDryRun { return gap }
        try storeMarker(configuration, facts, revision, after: stored, acceptedBy, &gap, nats)
        return gap
    }

    // MARK: - Steps

    private struct Refusal: Equatable {
        var reason: StopReason
        var what: String
        var remedy: String
    }

    /// Reads both servers; where replicas could answer with what is stale, for as long as the streamer would.
    private static func lostHistory(
        _ configuration: StreamerConfiguration, replication: borrowing ReplicationConnection,
        sql: borrowing SQLConnection, nats: JetStreamConnection
    ) throws(StreamerError) -> (facts: Recovery.Facts, revision: UInt64, refusal: Refusal?) {
        var suspicion: (refusal: Refusal, since: Instant)?
        while true {
            let (facts, revision) = try ServerFacts.gather(
                configuration, replication: replication, sql: sql, nats: nats)
            switch Recovery.assess(facts) {
            case .proceed: return (facts, revision, nil)
            case .firstStart:
                throw .stop(
                    .configuration,
                    what:
                        "nothing is set up yet for slot \(configuration.source.slot) and stream \(configuration.stream.name): there is no gap",
                    remedy: "Run `slotstream setup`")
            case .refuse(let reason, let what, let remedy, let isConfirmedByTime):
                let refusal = Refusal(reason: reason, what: what, remedy: remedy)
                let replicaCount = facts.stream?.replicaCount ?? configuration.stream.replicas
                guard isConfirmedByTime, replicaCount > 1 else { return (facts, revision, refusal) }
                if suspicion?.refusal != refusal { suspicion = (refusal, .now) }
                if let since = suspicion?.since, Instant.now.duration(since: since) >= Delivery.suspicionTime {
                    return (facts, revision, refusal)
                }
                sleep(1)
            }
        }
    }

    /// Up to where the stream is whole.
    private static func start(of reason: StopReason, _ facts: Recovery.Facts, _ stored: Position?) -> LSN {
        let last = stored?.commitLSN
        switch reason {
        // What was stored is gone with the stream: it is whole up to where the slot began.
        case .streamMissing, .streamRecreated: return facts.record.flatMap { LSN($0.genesis.lsn) } ?? .invalid
        case .streamTailLost: return last ?? .invalid
        default: return max(facts.record?.confirmedLSN ?? .invalid, last ?? .invalid)
        }
    }

    /// The position of the last event that is in the stream, or of which the record knows that it was; nil: there is none.
    private static func storedPosition(
        _ facts: Recovery.Facts, _ configuration: StreamerConfiguration, _ nats: JetStreamConnection
    ) throws(StreamerError) -> Position? {
        guard let stream = facts.stream else { return nil }
        let present = try lastPresent(stream, configuration.stream.name, nats)
        let recorded = facts.record.flatMap { $0.streamCreated == stream.created ? $0.lastMessageID?.position : nil }
        return [present, recorded].compactMap { $0 }.max()
    }

    /// Deleted messages at a stream's end that are passed over, at most, in search of one that is there.
    private static let deletedLimit: UInt64 = 10_000

    /// The last event that is there: the stream's last may have been deleted, and one before it must not be sent again.
    ///
    /// By sequence: nats-server 2.9 does not find it by its subject when the last is gone.
    private static func lastPresent(
        _ stream: StreamTail, _ name: String, _ nats: JetStreamConnection
    ) throws(StreamerError) -> Position? {
        if case .event(let id, _) = stream.message { return id.position }
        return try StreamerError.ofJetStream { () throws(JetStreamError) in
            guard let state = try nats.streamInfo(name)?.state, state.messages > 0 else { return nil }
            var sequence = stream.lastSequence
            while sequence >= max(1, state.firstSequence), stream.lastSequence - sequence < deletedLimit {
                if let message = try nats.message(name, sequence: sequence) {
                    return message.messageID.flatMap { MessageID($0) }?.position
                }
                sequence -= 1
            }
            throw .malformedResponse(operation: "the last \(deletedLimit) messages of \(name), all of them deleted")
        }
    }

    /// A slot from which can be read on.
    /// - Returns: Where it stands.
    private static func setUpSlot(
        _ configuration: StreamerConfiguration, _ facts: Recovery.Facts, _ isDryRun: Bool, _ gap: inout Gap,
        replication: inout ReplicationConnection, sql: borrowing SQLConnection
    ) throws(StreamerError) -> LSN {
        let source = configuration.source
        if let slot = facts.slot, !slot.isInvalidated, let confirmed = slot.confirmedFlushLSN { return confirmed }
        gap.created.append("slot \(source.slot)")
        if isDryRun { return facts.serverFlushLSN }
        do throws(PostgresError) {
            if facts.slot != nil { try sql.dropSlot(source.slot) }
            return try replication.createLogicalSlot(source.slot, failover: source.failover, timeout: Setup.slotTimeout)
                .consistentPoint
        } catch {
            throw .postgres(error)
        }
    }

    private static func setUpStream(
        _ configuration: StreamerConfiguration, _ facts: Recovery.Facts, _ isDryRun: Bool, _ gap: inout Gap,
        _ nats: JetStreamConnection
    ) throws(StreamerError) {
        if facts.stream == nil { gap.created.append("stream \(configuration.stream.name)") }
        if facts.record == nil { gap.created.append("checkpoint record") }
        if isDryRun { return }
        do throws(JetStreamError) {
            if facts.stream == nil { _ = try nats.createStream(configuration.stream) }
            try nats.createBucket(StreamerConfiguration.bucket, replicas: configuration.stream.replicas)
        } catch {
            throw .jetStream(error)
        }
        _ = try Setup.compareStream(configuration, nats)
    }

    private static func storeMarker(
        _ configuration: StreamerConfiguration, _ facts: Recovery.Facts, _ revision: UInt64, after stored: Position?,
        _ acceptedBy: String, _ gap: inout Gap, _ nats: JetStreamConnection
    ) throws(StreamerError) {
        let tail = try StreamerError.ofJetStream { () throws(JetStreamError) in
            try StreamTail.read(configuration.stream.name, over: nats)
        }
        guard let tail else {
            throw .stop(
                .streamMissing, what: "stream \(configuration.stream.name) was removed meanwhile",
                remedy: "Run the command again")
        }
        // Never before what is stored: it would be sent again. A slot can lag behind the stream.
        let slotPosition = Position(commitLSN: gap.toLSN, ordinal: 0)
        let position = stored.map { max($0, slotPosition) } ?? slotPosition
        var id = MessageID(
            systemID: facts.identity.systemID, databaseOID: facts.identity.databaseOID,
            timeline: facts.timelines.timeline(containing: position.commitLSN), transactionID: .none, position: position
        )
        if case .event(let last, _) = tail.message, last.position == position { id = last }
        let markerID = "\(id).gap.\(String(UInt64.random(in: .min ... .max), radix: 36))"
        gap.sequence = try publish(markerID, gap, after: tail, acceptedBy, nats)
        let record = CheckpointRecord(
            systemID: facts.identity.systemID, timeline: facts.timelines.currentTimeline,
            slot: configuration.source.slot, owner: "", confirmedLSN: gap.toLSN, lastID: id,
            lastSequence: tail.lastSequence + 1, stream: configuration.stream.name, streamCreated: tail.created,
            options: configuration.source.optionsFingerprint,
            genesis: facts.record?.genesis
                ?? CheckpointRecord.Genesis(
                    kind: "gap", lsn: gap.toLSN.description, at: PostgresTimestamp.now.description))
        _ = try Setup.put(record, expecting: revision, nats)
    }

    /// Stores the marker behind the stream's last message.
    /// - Returns: Its sequence.
    private static func publish(
        _ markerID: String, _ gap: Gap, after tail: StreamTail, _ acceptedBy: String, _ nats: JetStreamConnection
    ) throws(StreamerError) -> UInt64 {
        let marker = GapMarker(
            id: markerID, timestamp: PostgresTimestamp.now.description,
            gap: GapMarker.Gap(
                fromLsn: gap.fromLSN.description, toLsn: gap.toLSN.description, reason: gap.reason.rawValue,
                acceptedBy: acceptedBy))
        let headers = [("Nats-Msg-Id", markerID), ("Nats-Expected-Last-Sequence", String(tail.lastSequence))]
        do throws(JetStreamError) {
            return try nats.store(marker.json(), on: gap.subject, headers: headers, in: gap.stream)
        } catch {
            guard error.isWrongLastSequence else { throw .jetStream(error) }
            throw .checkpointConflict(
                "something was stored in \(gap.stream) meanwhile: stop what writes to it and run the command again")
        }
    }
}
