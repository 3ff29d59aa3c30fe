import Capture
package import History
import JetStreamPublishing
package import Logging
import PostgresReplication
package import Threads
package import WAL

/// Rebuilds a lost stream from the anchor slot: the live slot goes back to where the anchor stands, and a new, empty stream begins there, with a marker for what was before.
///
/// In an order that can be repeated: the live slot is replaced by a copy of the anchor, and then the gap before it is accepted, as `slot advance` does it. Whatever is
/// interrupted in between stops a streamer with 73 until this is run again; the anchor stays where it is throughout.
package enum Rewind {
    /// What is rebuilt, and what is not.
    package struct Outcome: Sendable, Equatable {
        package var stream: String
        /// The stream is not there; false: it is there, and empty.
        package var isStreamMissing: Bool
        package var anchor: String
        /// From there on everything is published again.
        package var anchorLSN: LSN
        /// Where the stream began that was lost; `0/0`: nobody knows.
        package var firstLSN: LSN
        /// Up to there PostgreSQL has written.
        package var endLSN: LSN
        /// Events that are published again, with the same ids and in the same order.
        package var eventCount: UInt64
        /// Durable consumers that went with the stream, as far as the record knows; nil: nobody knows.
        package var lostConsumers: [String]?
        /// What was made; empty: a dry run.
        package var created: [String] = []
        /// Of the marker; nil: a dry run, or the stream is whole without one.
        package var markerSequence: UInt64?
    }

    /// Connects to both servers, and does it.
    /// - Parameters:
    ///   - isWanted: Asked last, with what is going to be done; false leaves everything as it is.
    /// - Returns: nil: it was not wanted.
    /// - Throws: `.slotActive` while a streamer runs; `.stop` where there is no anchor, or the stream holds something.
    package static func run(
        _ configuration: StreamerConfiguration, acceptance: Acceptance, failpoints: Failpoints = .none, logger: Logger,
        onDoubt: (String) -> Void, onSlotWait: (SlotWait) -> Void, isWanted: (Outcome) -> Bool
    ) throws(StreamerError) -> Outcome? {
        var outcome = try plan(configuration, logger)
        if acceptance.isDryRun { return outcome }
        guard isWanted(outcome) else { return nil }
        try moveBack(configuration, outcome, failpoints)
        let gap = try GapAcceptance.run(
            configuration, acceptance: acceptance, failpoints: failpoints, onDoubt: onDoubt, onSlotWait: onSlotWait)
        outcome.created = ["slot \(configuration.source.slot), at \(outcome.anchorLSN)"] + (gap?.created ?? [])
        outcome.markerSequence = gap?.sequence
        return outcome
    }

    /// Looks what there is, and counts what will be published.
    private static func plan(_ configuration: StreamerConfiguration, _ logger: Logger) throws(StreamerError) -> Outcome {
        let servers = try ServerConnections(configuration)
        let (facts, _) = try ServerFacts.gather(
            configuration, replication: servers.replication, sql: servers.sql, nats: servers.nats)
        if let slot = facts.slot, slot.isActive { throw try SlotAdministration.active(slot, servers.sql) }
        if let record = facts.record, case .refuse(let reason, let what, let remedy, _)? = Recovery.refusal(ofRecord: record, facts) {
            throw .stop(reason, what: what, remedy: remedy)
        }
        try requireEmpty(facts)
        let wake = servers.link.wake
        // An anchor that was made while the streamer lagged stands before the live slot: then nothing is to be moved.
        let isLiveOlder = facts.slot.map { live in
            guard !live.isInvalidated, let lsn = live.confirmedFlushLSN else { return false }
            return facts.anchor?.confirmedFlushLSN.map { lsn <= $0 } ?? false
        } ?? false
        let past = try PastReader(configuration, slot: isLiveOlder ? configuration.source.slot : nil, wake: wake, logger: logger)
        var counter = EventCounter()
        try past.begin(at: past.reachLSN, payloadLimit: servers.nats.maxPayload, skips: facts.record?.acceptedSkips ?? [])
        _ = try past.read(before: facts.serverFlushLSN, into: &counter, hasRoom: { true }) { () throws(StreamerError) in true }
        return Outcome(
            stream: facts.streamName, isStreamMissing: facts.stream == nil, anchor: ReplayWindow.anchor(of: configuration.source.slot),
            anchorLSN: past.reachLSN, firstLSN: facts.record?.firstLSN ?? .invalid, endLSN: facts.serverFlushLSN,
            eventCount: counter.count, lostConsumers: try lostConsumers(facts, servers.nats))
    }

    /// The durable consumers that the record knows and that are not there; nil: nobody knows, or may ask.
    private static func lostConsumers(_ facts: Recovery.Facts, _ nats: JetStreamConnection) throws(StreamerError) -> [String]? {
        guard let known = facts.record?.consumers, facts.stream != nil else { return facts.record?.consumers }
        do throws(JetStreamError) {
            let present = try nats.consumers(facts.streamName).consumers.map(\.name)
            return known.filter { !present.contains($0) }
        } catch {
            guard error.isPermission else { throw .jetStream(error) }
            return nil
        }
    }

    /// What is stored stays where it is: the past goes only into a stream that holds nothing of it.
    private static func requireEmpty(_ facts: Recovery.Facts) throws(StreamerError) {
        guard let stream = facts.stream, stream.lastSequence > 0 else { return }
        // An interrupted rewind has stored its marker.
        if case .event(let id, _) = stream.message, id.kind == .marker, stream.messageCount == stream.lastSequence, stream.lastSequence <= 8 {
            return
        }
        throw .stop(
            .configuration,
            what: "stream \(facts.streamName) holds messages (its last sequence is \(stream.lastSequence)): a rewind needs a stream that was never written to",
            remedy: Steps.text([
                "If only the stream's end is missing, start the streamer, which repairs the stream from the anchor slot: `slotstream run`",
                "To send a part of the past again, keep the stream: `slotstream replay --from-time 1h --into-prefix replay.today`",
                "To give up what the stream holds, delete the stream and rewind: `nats stream rm \(facts.streamName)`",
            ]))
    }

    /// Puts a copy of the anchor in the live slot's place.
    private static func moveBack(
        _ configuration: StreamerConfiguration, _ outcome: Outcome, _ failpoints: Failpoints
    ) throws(StreamerError) {
        let name = configuration.source.slot
        do throws(PostgresError) {
            let sql = try SQLConnection(configuration.source.connection)
            var live = try sql.slot(named: name)
            let replication = try ReplicationConnection(configuration.source.connection)
            if live.map({ $0.confirmedFlushLSN != outcome.anchorLSN || $0.isInvalidated }) ?? true {
                if live != nil {
                    try sql.dropSlot(name)
                    failpoints.reached(.afterRewindDrop)
                }
                _ = try replication.copyLogicalSlot(from: outcome.anchor, to: name, temporary: false)
                live = nil
            }
            // A copy does not follow a promotion by itself.
            if configuration.source.failover, replication.serverVersion >= 170_000, live?.failover != true {
                _ = try replication.query("ALTER_REPLICATION_SLOT \(quoteIdentifier(name)) (FAILOVER true)")
            }
            failpoints.reached(.afterRewindCopy)
        } catch {
            throw error.isObjectInUse ? .slotActive(nil) : .postgres(error)
        }
    }
}

/// Counts events.
private struct EventCounter: EventSink {
    private(set) var count: UInt64 = 0

    mutating func accept(_ header: EventHeader, subject: RawSpan, messageID: RawSpan, payload: RawSpan) { count += 1 }
}
