import Capture
import Glibc
import History
import JetStreamPublishing
import PostgresReplication
import Threads
import WAL

/// The slot with its claim before it and its first record behind it.
extension Setup {
    static func setUpSlot(
        _ configuration: StreamerConfiguration, _ options: Options, facts: Recovery.Facts, revision: UInt64,
        replication: borrowing ReplicationConnection, sql: borrowing SQLConnection, nats: JetStreamConnection,
        _ made: inout SetupUndoing, isWanted: () -> Bool, onSlotWait: (SlotWait) -> Void
    ) throws(StreamerError) -> Outcome {
        let name = configuration.source.slot
        let isAdopting = facts.slot != nil && facts.record == nil
        let afterForeign = afterForeign(facts, options)
        var outcome = Outcome(
            created: [
                isAdopting ? "slot \(name), adopted" : "slot \(name)",
                "its first checkpoint record\(afterForeign.map { ", behind sequence \($0)" } ?? "")",
            ])
        if afterForeign != nil, let stream = facts.stream {
            outcome.notes.append(
                "stream \(facts.streamName) begins behind \(Recovery.messages(stream)) of another writer, which stay in the stream as they are")
        }
        if options.isDryRun { return outcome }

        let tail = try StreamerError.ofJetStream { () throws(JetStreamError) in
            try StreamTail.read(configuration.stream.name, over: nats)
        }
        guard let tail, facts.stream.map({ $0.created == tail.created }) ?? true else {
            throw .stop(
                .streamMissing, what: "stream \(configuration.stream.name) was removed during setup",
                remedy: "Run the command again: `slotstream setup`")
        }
        guard tail.message == .never || afterForeign != nil else {
            throw .stop(
                .foreignMessage,
                what: "another writer stored \(Recovery.messages(tail)) in stream \(configuration.stream.name) during setup",
                remedy: Steps.text(["Stop the other writer", "Begin behind these messages: `slotstream setup --after-foreign`"]))
        }
        var record = CheckpointRecord(
            systemID: facts.identity.systemID, timeline: facts.timelines.currentTimeline, slot: name, owner: "",
            confirmedLSN: .invalid, lastID: nil, lastSequence: 0, stream: configuration.stream.name,
            streamCreated: tail.created, options: configuration.streamOptions.text,
            genesis: CheckpointRecord.Genesis(
                kind: CheckpointRecord.claimKind, lsn: LSN.invalid.description, at: PostgresTimestamp.now.description,
                afterForeign: afterForeign))
        // What comes behind it is compared by who streams: of a stream that was never written to, all that will ever come.
        let settled = afterForeign ?? tail.lastSequence
        record.settledSequence = settled > 0 ? settled : nil
        // The claim stands before the slot does: an interrupted setup is told from lost history by it.
        var claimed = revision
        if !isAdopting {
            claimed = try put(record, expecting: revision, nats)
            made.revision = claimed
            options.failpoints.reached(.afterClaim)
        }

        let start: LSN
        if let slot = facts.slot {
            start = try position(ofExisting: slot, facts, sql)
            if !isAdopting { outcome.created[0] = "slot \(name), which an interrupted setup had made" }
        } else {
            start = try makeSlot(
                configuration.source, over: replication, sql: sql, isWanted: isWanted, onSlotWait: onSlotWait)
            made.slot = name
            options.failpoints.reached(.afterSlot)
        }
        record.confirmedLsn = start.description
        record.genesis.kind = isAdopting ? "adopted" : "created"
        record.genesis.lsn = start.description
        record.genesis.at = PostgresTimestamp.now.description
        made.revision = try put(record, expecting: claimed, nats)
        options.failpoints.reached(.afterFirstRecord)
        outcome.notes.append(PublicationSetup.unpublishedRows(configuration.source, over: sql, before: start))
        return outcome
    }

    /// Behind which message of another writer's the stream is begun; nil: it was never written to.
    private static func afterForeign(_ facts: Recovery.Facts, _ options: Options) -> UInt64? {
        guard let stream = facts.stream, stream.message != .never else { return nil }
        // An interrupted setup goes on as it was begun, unless it is told anew.
        let claimed = facts.record.flatMap { $0.streamCreated == stream.created ? $0.genesis.afterForeign : nil }
        return options.startsAfterForeign ? stream.lastSequence : claimed
    }

    /// Makes the slot, for which PostgreSQL waits until the transactions that run at that moment have ended: 10 minutes at most.
    ///
    /// - Returns: Where it starts.
    static func makeSlot(
        _ source: StreamerConfiguration.Source, over replication: borrowing ReplicationConnection,
        sql: borrowing SQLConnection, isWanted: () -> Bool = { true }, onSlotWait: (SlotWait) -> Void
    ) throws(StreamerError) -> LSN {
        var watch = SlotWait.Watch()
        do throws(PostgresError) {
            return try replication.createLogicalSlot(
                source.slot, failover: source.failover, timeout: .seconds(600),
                isWanted: {
                    if let wait = watch.look(slot: source.slot, over: sql) { onSlotWait(wait) }
                    return isWanted()
                }
            ).consistentPoint
        } catch {
            throw .postgres(error)
        }
    }

    /// Where a slot that is there stands, if it can be streamed from.
    static func position(
        ofExisting slot: SlotState, _ facts: Recovery.Facts, _ sql: borrowing SQLConnection
    ) throws(StreamerError) -> LSN {
        // An interrupted setup's walsender is still making it, or somebody streams from it: in either case it does not stand yet.
        if slot.isActive { throw try SlotAdministration.active(slot, sql) }
        if case .refuse(let reason, let what, let remedy, _)? = Recovery.refusal(ofSlot: slot, facts) {
            throw .stop(reason, what: what, remedy: remedy)
        }
        return slot.confirmedFlushLSN ?? .invalid
    }
}
