import Capture
import Glibc
package import History
import JetStreamPublishing
import PostgresReplication
package import Threads
package import WAL

/// The deliberate way on over lost history: stores a gap marker, so that consumers know of it too, and puts the record there.
///
/// In an order that can be repeated: slot, stream and bucket are made where they are missing; then both servers are read once more, and from
/// that reading alone the marker is chained behind the stream's end and the record put. Whatever is interrupted in between stops a streamer
/// with 73 until this is run again, or has stored a marker that says all that is needed.
package enum GapAcceptance {
    /// What is not in the stream, and what was stored instead.
    package struct Gap: Sendable, Equatable {
        package var reason: StopReason
        /// What happened, as the streamer says it.
        package var what: String
        /// Before it the stream is whole; 0/0: nobody knows.
        package var fromLSN: LSN
        /// From there on it goes on. The same as `fromLSN`: no change was lost, only the knowledge of it.
        package var toLSN: LSN
        /// Of the marker.
        package var subject: String
        /// Of the marker; nil: a dry run.
        package var sequence: UInt64?
        /// What was made, or would be.
        package var created: [String]
        package var notes: [Note]
    }

    /// Connects to both servers and does it.
    /// - Parameters:
    ///   - failpoints: For the fault tests.
    ///   - onDoubt: Told what is to be read again before it is believed.
    ///   - onSlotWait: Told what PostgreSQL waits for when it has not made the slot after a second, and again whenever that changes.
    /// - Returns: nil: nothing is lost, and nothing was done.
    /// - Throws: `.slotActive` while a streamer runs; what cannot be accepted with its own reason and remedy.
    package static func run(
        _ configuration: StreamerConfiguration, acceptance: Acceptance, failpoints: Failpoints = .none,
        onDoubt: (String) -> Void, onSlotWait: (SlotWait) -> Void
    ) throws(StreamerError) -> Gap? {
        let servers = try ServerConnections(configuration)
        let nats = servers.nats
        guard let (facts, refusal) = try lostHistory(configuration, servers, onDoubt) else { return nil }
        guard LostHistory.isAcceptable(refusal.reason) || refusal.obstacle != nil else { throw refusal.error }
        let found = try lastPresent(facts, nats)
        try requireOneHistory(facts, found)
        // A slot decodes through the publication: it must be there before.
        try Setup.requirePublication(configuration, sql: servers.sql)
        try Setup.requireAccount(nats)
        _ = try Setup.compareStream(configuration, nats)

        let setup = Setup.Options(isDryRun: acceptance.isDryRun, failpoints: failpoints)
        let made = try setUp(configuration, setup, facts, servers, onSlotWait: onSlotWait)
        var end: LSN?
        if let obstacle = refusal.obstacle {
            end = try SlotPassage.end(of: obstacle, configuration, sql: servers.sql)
        }
        var gap = Gap(
            reason: refusal.reason, what: refusal.what, fromLSN: .invalid, toLSN: .invalid,
            subject: "\(configuration.capture.subjectPrefix)._slotstream.GAP", sequence: nil, created: made.created,
            notes: made.notes)
        if acceptance.isDryRun {
            let slotLSN = end ?? usableSlotLSN(facts.slot) ?? facts.serverFlushLSN
            gap.take(GapPlan(facts, slotLSN: slotLSN, lastPresent: found.id))
            return gap
        }
        // Before the marker: behind one that stood there already, the slot would not be believed.
        if let end {
            try SlotPassage.pass(end, configuration.source, sql: servers.sql)
            failpoints.reached(.afterPassage)
        }
        gap.sequence = try accept(configuration, acceptance, &gap, servers, failpoints)
        return gap
    }

    // MARK: - What is lost

    private struct Refusal {
        var reason: StopReason
        var what: String
        var remedy: String
        /// What the slot holds and cannot be sent; nil: slot and stream cannot be joined.
        var obstacle: SlotObstacle?

        var error: StreamerError { .stop(reason, what: what, remedy: remedy) }
    }

    /// Reads both servers; where replicas could answer with what is stale, for as long as the streamer would. nil: nothing is lost.
    private static func lostHistory(
        _ configuration: StreamerConfiguration, _ servers: borrowing ServerConnections, _ onDoubt: (String) -> Void
    ) throws(StreamerError) -> (facts: Recovery.Facts, refusal: Refusal)? {
        let (facts, _, outcome) = try ServerFacts.assess(
            configuration, replication: servers.replication, sql: servers.sql, nats: servers.nats
        ) { (facts, what) throws(StreamerError) in
            try requireFree(facts.slot, servers.sql)
            onDoubt(what)
            sleep(1)
        }
        switch outcome {
        case .proceed(let plan):
            // Who streams from it finds out by himself.
            guard let slot = facts.slot, !slot.isActive else { return nil }
            // One that is there now does not reach back; without one nothing that comes is published.
            try Setup.requirePublication(configuration, sql: servers.sql)
            let lastSequence = facts.stream?.lastSequence ?? 0
            guard
                let obstacle = try SlotPassage.obstacle(
                    configuration, plan, lastSequence: lastSequence, sql: servers.sql)
            else { return nil }
            return (
                facts,
                Refusal(
                    reason: obstacle.reason, what: obstacle.what(slot: configuration.source.slot, publication: configuration.source.publication), remedy: obstacle.remedy,
                    obstacle: obstacle)
            )
        case .firstStart:
            throw .stop(
                .configuration,
                what:
                    "nothing is set up yet for slot \(configuration.source.slot) and stream \(configuration.stream.name): there is no gap",
                remedy: "Create the slot and the stream: `slotstream setup`")
        case .refuse(let reason, let what, let remedy, _):
            try requireFree(facts.slot, servers.sql)
            return (facts, Refusal(reason: reason, what: what, remedy: remedy))
        }
    }

    /// - Throws: `.slotActive` while a streamer holds it.
    private static func requireFree(_ slot: SlotState?, _ sql: borrowing SQLConnection) throws(StreamerError) {
        if let slot, slot.isActive { throw try SlotAdministration.active(slot, sql) }
    }

    private static func gather(
        _ configuration: StreamerConfiguration, _ servers: borrowing ServerConnections
    ) throws(StreamerError) -> (facts: Recovery.Facts, revision: UInt64) {
        try ServerFacts.gather(configuration, replication: servers.replication, sql: servers.sql, nats: servers.nats)
    }

    /// Whatever the reason is: no marker behind another writer's message, or in another server's or history's stream.
    private static func requireOneHistory(_ facts: Recovery.Facts, _ found: LastPresent) throws(StreamerError) {
        guard case .refuse(let reason, let what, let remedy, _)? = GapPlan.refusal(facts, lastPresent: found) else {
            return
        }
        throw .stop(reason, what: what, remedy: remedy)
    }

    /// The newest message of ours that is in the stream; what is somebody else's is passed over, unless it is another slot's.
    private static func lastPresent(
        _ facts: Recovery.Facts, _ nats: JetStreamConnection
    ) throws(StreamerError) -> LastPresent {
        guard let tail = facts.stream else { return .none }
        return try StreamerError.ofJetStream { () throws(JetStreamError) in
            try LastPresent.read(facts.streamName, through: tail.lastSequence, identity: facts.identity, over: nats)
        }
    }

    // MARK: - Steps

    /// Where a slot stands that can be streamed from; nil: it is not there, or cannot.
    private static func usableSlotLSN(_ slot: SlotState?) -> LSN? {
        slot.flatMap { $0.isInvalidated ? nil : $0.confirmedFlushLSN }
    }

    /// Makes slot, stream, bucket and consumer where they are missing; a slot that cannot be streamed from is replaced.
    private static func setUp(
        _ configuration: StreamerConfiguration, _ options: Setup.Options, _ facts: Recovery.Facts,
        _ servers: borrowing ServerConnections, onSlotWait: (SlotWait) -> Void
    ) throws(StreamerError) -> Setup.Outcome {
        let source = configuration.source
        var outcome = Setup.Outcome()
        if usableSlotLSN(facts.slot) == nil {
            outcome.created.append("slot \(source.slot)\(facts.slot == nil ? "" : ", in place of the old slot")")
            try Setup.requireLogicalDecoding(servers.sql)
            if facts.slot == nil { try Setup.requireSlotRoom(servers.sql) }
            if !options.isDryRun {
                if facts.slot != nil {
                    try StreamerError.ofPostgres { () throws(PostgresError) in try servers.sql.dropSlot(source.slot) }
                    options.failpoints.reached(.afterSlotDrop)
                }
                _ = try Setup.makeSlot(source, over: servers.replication, sql: servers.sql, onSlotWait: onSlotWait)
                options.failpoints.reached(.afterSlot)
            }
        }
        // Nothing is undone: run again, it goes on with what is there.
        var made = SetupUndoing()
        outcome =
            outcome
            + (try Setup.setUpStream(configuration, options, found: facts.stream != nil, nats: servers.nats, &made))
        return outcome + (try Setup.setUpConsumer(configuration, options, nats: servers.nats))
    }

    /// Reads both servers once, chains the marker behind the end that was read and puts the record by compare-and-set on the one that was read.
    /// - Returns: The marker's sequence.
    private static func accept(
        _ configuration: StreamerConfiguration, _ acceptance: Acceptance, _ gap: inout Gap,
        _ servers: borrowing ServerConnections, _ failpoints: Failpoints
    ) throws(StreamerError) -> UInt64 {
        let nats = servers.nats
        let (facts, revision) = try gather(configuration, servers)
        try requireFree(facts.slot, servers.sql)
        guard let slotLSN = usableSlotLSN(facts.slot), let tail = facts.stream else {
            throw .checkpointConflict(
                "slot \(configuration.source.slot) or stream \(configuration.stream.name) was removed meanwhile")
        }
        let found = try lastPresent(facts, nats)
        try requireOneHistory(facts, found)
        let plan = GapPlan(facts, slotLSN: slotLSN, lastPresent: found.id)
        gap.take(plan)
        let sequence = try publish(plan, gap, after: tail, acceptance, facts.identity, configuration, servers.link)
        failpoints.reached(.afterGapMarker)
        var record = CheckpointRecord(
            systemID: facts.identity.systemID, timeline: facts.timelines.currentTimeline,
            slot: configuration.source.slot, owner: "", confirmedLSN: slotLSN, lastID: plan.position,
            lastSequence: sequence, stream: configuration.stream.name, streamCreated: tail.created,
            // The rest of a transaction that is stored in part is counted as its beginning was.
            options: (plan.position.position.ordinal > 0 ? facts.record?.options : nil)
                ?? configuration.streamOptions.text,
            genesis: CheckpointRecord.Genesis(
                kind: CheckpointRecord.gapKind, lsn: plan.toLSN.description, at: PostgresTimestamp.now.description,
                firstLsn: plan.firstLSN.description))
        // What was passed over on purpose is passed over again where it comes again.
        for skip in facts.record?.acceptedSkips ?? [] { _ = record.add(skip) }
        // A run that was under way is given up by who streams next, since its history is another now: with a marker.
        record.takeBackfills(of: facts.record)
        _ = try Setup.put(record, expecting: revision, nats)
        failpoints.reached(.afterGapRecord)
        return sequence
    }

    /// Stores the marker behind the stream's end.
    /// - Returns: Its sequence.
    private static func publish(
        _ plan: GapPlan, _ gap: Gap, after tail: StreamTail, _ acceptance: Acceptance, _ identity: SourceIdentity,
        _ configuration: StreamerConfiguration, _ port: some StreamPort
    ) throws(StreamerError) -> UInt64 {
        let markerID = plan.position.marker(random: port.random())
        let marker = GapMarker(
            id: markerID, timestamp: port.wallClock.description,
            gap: GapMarker.Gap(
                fromLsn: gap.fromLSN.description, toLsn: gap.toLSN.description, reason: gap.reason.rawValue,
                acceptedBy: acceptance.acceptedBy))
        var append = ChainedAppend(
            port, stream: configuration.stream.name, created: tail.created, identity: identity, behind: tail.lastSequence)
        do throws(StreamerError) {
            let event = AppendedEvent(subject: Array(gap.subject.utf8), messageID: markerID, payload: marker.json())
            return try append.append([event])
        } catch {
            guard case .streamMoved(let what) = error else { throw error }
            throw .checkpointConflict(what)
        }
    }
}

extension GapAcceptance.Gap {
    fileprivate mutating func take(_ plan: GapPlan) {
        fromLSN = plan.fromLSN
        toLSN = plan.toLSN
    }
}
