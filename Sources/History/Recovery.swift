package import Capture
package import PostgresReplication
package import WAL

/// Where a streamer goes on, from what both servers say. Pure: no file of our own, the same answer for the same facts.
package enum Recovery {
    /// What both servers say before anything is started.
    package struct Facts {
        package var configuredSlot: String
        package var options: StreamOptions
        package var identity: SourceIdentity
        package var timelines: TimelineHistory
        /// `IDENTIFY_SYSTEM`'s xlogpos: the server has no WAL beyond it.
        package var serverFlushLSN: LSN
        package var slot: SlotState?
        /// Of the replay window; nil: there is none.
        package var anchor: SlotState?
        package var record: CheckpointRecord?
        package var stream: StreamTail?
        package var streamName: String
        /// nil where the record knows of no message.
        package var recordedEnd: RecordedEnd?
        /// Of the newest event of ours behind what is proven.
        package var newestCommit: StoredCommit?
        /// Something of ours stands behind it; known only where the options differ from the recorded ones.
        package var hasUnproven = false
        /// What stands behind the proven message is judged by `mend`, event by event.
        package var isMending = false
        /// The newest of ours among the stream's messages, where no finished record tells of any.
        package var unrecorded = LastPresent.none

        package init(
            configuredSlot: String, options: StreamOptions, identity: SourceIdentity, timelines: TimelineHistory,
            serverFlushLSN: LSN, slot: SlotState? = nil, record: CheckpointRecord? = nil, stream: StreamTail? = nil,
            streamName: String, recordedEnd: RecordedEnd? = nil, newestCommit: StoredCommit? = nil,
            hasUnproven: Bool = false, isMending: Bool = false, unrecorded: LastPresent = .none
        ) {
            self.configuredSlot = configuredSlot
            self.options = options
            self.identity = identity
            self.timelines = timelines
            self.serverFlushLSN = serverFlushLSN
            self.slot = slot
            self.record = record
            self.stream = stream
            self.streamName = streamName
            self.recordedEnd = recordedEnd
            self.newestCommit = newestCommit
            self.hasUnproven = hasUnproven
            self.isMending = isMending
            self.unrecorded = unrecorded
        }

        /// Whether the answers about the stream can be a woken old leader's; `configured` counts where there is no stream.
        package func hasReplicas(configured: Int) -> Bool { (stream?.replicaCount ?? configured) > 1 }
    }

    /// A refusal that time confirms, with all that was read of the stream.
    package struct Doubt: Equatable {
        package var outcome: Outcome
        package var stream: StreamTail?

        package init(outcome: Outcome, stream: StreamTail? = nil) {
            self.outcome = outcome
            self.stream = stream
        }
    }

    package struct Plan: Equatable {
        /// Given to START_REPLICATION.
        package var startLSN: LSN
        /// What is proven of the stream's end; what stands behind it is compared with what is decoded.
        package var known: KnownEnd
        /// Of the newest event of ours that stands there.
        package var newestCommit: StoredCommit?
        /// What the server must send before it is believed; nil: the slot is beyond all that is stored.
        package var proof: HistoryProof?
        /// Where the slot may stand at most: the record's position, as far as it holds for this server and this stream.
        package var provenLSN: LSN
        /// The stream lost an end that PostgreSQL was told of: this is read first; nil: the live slot sends all that is missing.
        package var repair: Repair?

        package init(
            startLSN: LSN, known: KnownEnd, newestCommit: StoredCommit? = nil, proof: HistoryProof? = nil, provenLSN: LSN,
            repair: Repair? = nil
        ) {
            self.startLSN = startLSN
            self.known = known
            self.newestCommit = newestCommit
            self.proof = proof
            self.provenLSN = provenLSN
            self.repair = repair
        }
    }

    package enum Outcome: Equatable {
        case proceed(Plan)
        /// No slot, no record, and the stream absent or never written to.
        case firstStart
        /// `isConfirmedByTime`: what a stale answer of a woken old leader could feign; where there are replicas it is read again before it is believed.
        case refuse(StopReason, what: String, remedy: String, isConfirmedByTime: Bool)
    }

    package static func assess(_ facts: Facts) -> Outcome {
        switch (facts.slot, facts.record) {
        case (nil, nil): return refusal(ofUnrecorded: facts) ?? .firstStart
        case (nil, let record?):
            // Setup was interrupted between the claim and the slot: nothing was ever streamed.
            if record.isClaim { return refusal(ofUnrecorded: facts) ?? .firstStart }
            // The slot is not lost, but on the server that is meant.
            if record.systemId != String(facts.identity.systemID), let refusal = refusal(ofRecord: record, facts) { return refusal }
            return lost(
                .slotMissing,
                "slot \(facts.configuredSlot) does not exist: everything up to \(record.confirmedLsn) was confirmed, later changes can no longer be read"
            )
        case (let slot?, nil):
            // Whatever its record would say: such a slot is not streamed from.
            if let refusal = refusal(ofKind: slot, facts) { return refusal }
            return lost(
                .bucketMissing,
                "slot \(slot.name) exists (confirmed \(slot.confirmedFlushLSN?.description ?? "nothing")), but the bucket \(CheckpointRecord.bucket) has no checkpoint record for stream \(facts.streamName): the stored position is not known",
                remedy: LostHistory.remedyForMissingRecord(adoptedBy: adoption(facts)),
                isConfirmedByTime: true)
        case (let slot?, let record?):
            // Setup was interrupted between the slot and its record.
            if record.isClaim {
                return refusal(ofClaim: record, on: slot, facts) ?? refusal(ofUnrecorded: facts) ?? .firstStart
            }
            if let refusal = refusal(ofSlot: slot, facts) { return refusal }
            if let refusal = refusal(ofRecord: record, facts) { return refusal }
            guard let stream = facts.stream else {
                return lost(
                    .streamMissing,
                    "stream \(facts.streamName) does not exist, but held events up to \(record.lastId ?? record.confirmedLsn)",
                    isConfirmedByTime: true)
            }
            return join(slot, record, stream, facts)
        }
    }

    // MARK: - What cannot be joined

    package static func refusal(ofSlot slot: SlotState, _ facts: Facts) -> Outcome? {
        if let refusal = refusal(ofKind: slot, facts) { return refusal }
        if slot.isInvalidated {
            return lost(
                .slotInvalidated,
                "slot \(slot.name) was invalidated (\(slot.invalidationReason ?? slot.walStatus ?? "its WAL is gone")): changes after \(slot.confirmedFlushLSN?.description ?? "its start") cannot be read from this slot"
            )
        }
        guard slot.confirmedFlushLSN != nil else {
            return lost(
                .slotUnconfirmed,
                "slot \(slot.name) has no confirmed_flush_lsn, because its creation never finished: changes after \(facts.record?.confirmedLsn ?? "the stream's end") cannot be read from this slot"
            )
        }
        return nil
    }

    /// Refuses what the slot was made as, wherever it stands.
    private static func refusal(ofKind slot: SlotState, _ facts: Facts) -> Outcome? {
        if slot.slotType != "logical" || slot.plugin != "pgoutput" {
            return .refuse(
                .configuration,
                what:
                    "slot \(slot.name) is a \(slot.slotType) slot with the plugin \(slot.plugin ?? "none"), but must be a logical slot with the plugin pgoutput",
                remedy: "Set source.slot to the name of another slot", isConfirmedByTime: false)
        }
        if let database = slot.database, database != facts.identity.databaseName {
            return .refuse(
                .configuration,
                what:
                    "slot \(slot.name) belongs to database \(database), but source.url connects to database \(facts.identity.databaseName)",
                remedy: "Set source.slot to the name of another slot, or correct the database in source.url", isConfirmedByTime: false)
        }
        if slot.twoPhase {
            return .refuse(
                .slotTwoPhase,
                what:
                    "slot \(slot.name) was created with two_phase: such a slot sends rows at PREPARE, before the transaction commits",
                remedy: LostHistory.remedyForTwoPhase(isFirstStart: isFirstStart(facts)), isConfirmedByTime: false)
        }
        return nil
    }

    /// Whether nothing was ever streamed: a slot that is made now is the first.
    private static func isFirstStart(_ facts: Facts) -> Bool { facts.record.map(\.isClaim) ?? isStreamUnwritten(facts) }

    private static func isStreamUnwritten(_ facts: Facts) -> Bool {
        facts.stream.map { $0.message == .never && $0.lastSequence == 0 } ?? true
    }

    /// Refuses a slot that is not the one for which the claim was put: somebody else's position may be in it.
    private static func refusal(ofClaim record: CheckpointRecord, on slot: SlotState, _ facts: Facts) -> Outcome? {
        guard record.slot != slot.name || record.systemId != String(facts.identity.systemID) else { return nil }
        return .refuse(
            .configuration,
            what:
                "the setup of stream \(facts.streamName) was interrupted before slot \(record.slot) of system \(record.systemId) was made: slot \(slot.name) of system \(facts.identity.systemID) was made by another program",
            remedy:
                Steps.text([
                    "If source.slot or source.url is wrong, correct the value and skip the other steps: `slotstream setup`",
                    "Delete the unfinished record: `nats kv del \(CheckpointRecord.bucket) \(facts.streamName)`",
                    "Adopt the slot: `slotstream setup --adopt-slot`",
                ]),
            isConfirmedByTime: false)
    }

    package static func refusal(ofRecord record: CheckpointRecord, _ facts: Facts) -> Outcome? {
        guard record.systemId == String(facts.identity.systemID) else {
            return lost(
                .otherCluster,
                "the server's system identifier is \(facts.identity.systemID), but the stream's events come from system \(record.systemId): another cluster answers at this address"
            )
        }
        guard record.slot == facts.configuredSlot else {
            return .refuse(
                .configuration,
                what:
                    "stream \(facts.streamName) is written from slot \(record.slot), not from slot \(facts.configuredSlot)",
                remedy:
                    "Set source.slot = \"\(record.slot)\". For a second slot, set another transport.nats.stream_name and another transport.nats.subject_prefix",
                isConfirmedByTime: false)
        }
        guard facts.timelines.contains(timeline: record.timeline) else {
            return lost(
                .historyDiverged,
                "the checkpoint record is of timeline \(record.timeline), which is not in the server's history (the server is on timeline \(facts.timelines.currentTimeline))"
            )
        }
        if confirmed(record, facts) > facts.serverFlushLSN {
            return lost(
                .positionAheadOfWAL,
                "\(record.confirmedLsn) was confirmed, but the server's WAL ends at \(facts.serverFlushLSN): the server was restored to an older state"
            )
        }
        return nil
    }

    /// The record's position in this server's history. Keepalives carry it beyond the last event: what lies beyond the point at which the record's timeline ended is of another history, and was never received from this one.
    package static func confirmed(_ record: CheckpointRecord, _ facts: Facts) -> LSN {
        min(record.confirmedLSN, facts.timelines.switchPoint(of: record.timeline) ?? record.confirmedLSN)
    }

    // MARK: - Joining slot, record and stream

    private static func join(
        _ slot: SlotState, _ record: CheckpointRecord, _ stream: StreamTail, _ facts: Facts
    ) -> Outcome {
        guard stream.created == record.streamCreated else {
            return lost(
                .streamRecreated,
                "stream \(facts.streamName) was created at \(stream.created), but the checkpoint record belongs to the stream created at \(record.streamCreated), which held everything up to \(record.confirmedLsn)"
            )
        }
        let confirmed = slot.confirmedFlushLSN ?? .invalid
        var provenLSN = Self.confirmed(record, facts)
        var known = record.knownEnd
        // What cannot be of this server's history is refused at once; the rest of what stands there is compared.
        if case .event(let id, _) = stream.message, id.isOf(facts.identity), !facts.isMending, stream.lastSequence > record.settled,
            case .refuse(let reason, let what, _, let isConfirmedByTime)? = refusal(ofLast: id, facts)
        {
            return .refuse(
                reason, what: what, remedy: LostHistory.remedyIfForged(reason), isConfirmedByTime: isConfirmedByTime)
        }
        if stream.message == .gone || stream.message == .never, stream.lastSequence > record.settled {
            return lost(
                .streamPurged,
                "the messages of stream \(facts.streamName) after sequence \(record.settled) are gone (the last sequence is \(stream.lastSequence)): the changes that were stored after \(record.confirmedLsn) are not known",
                isConfirmedByTime: true)
        }
        var isLastOfTransaction: Bool?
        let isTailLost = stream.lastSequence < record.lastSequence
        var repair: Repair?
        switch facts.recordedEnd?.message {
        case nil: if isTailLost { return tailLost(stream, record, confirmed, nil) }
        case .gone, .never:
            // Retention took it, or somebody deleted it: the record knows what it was.
            if isTailLost {
                // Of a stream that lost all of it, the beginning is where it goes on.
                let isEmptied = stream.lastSequence == 0 && record.gapLSN == nil
                repair = isEmptied ? self.repair(from: record.firstLSN, to: confirmed, facts) : nil
                guard repair != nil else { return tailLost(stream, record, confirmed, nil) }
                known = KnownEnd(storedSequence: 0, storedID: nil, created: record.streamCreated)
                provenLSN = min(provenLSN, record.firstLSN)
            }
        case .foreign(let subject): return replaced(record, subject, facts)
        case .event(let id, let isLast):
            guard id.isOf(facts.identity) else { return replaced(record, "\(id)", facts) }
            if isTailLost {
                if confirmed > id.position.commitLSN {
                    repair = self.repair(from: min(id.position.commitLSN, provenLSN), to: confirmed, facts)
                    guard repair != nil else { return tailLost(stream, record, confirmed, id) }
                }
                // The lost tail is sent again: until it is stored the record's position holds no longer.
                provenLSN = min(provenLSN, confirmed)
                known = KnownEnd(
                    storedSequence: facts.recordedEnd?.sequence ?? 0, storedID: id, created: record.streamCreated,
                    skips: known.skips)
            } else if id.position != known.storedID?.position {
                return replaced(record, "\(id)", facts)
            }
            isLastOfTransaction = isLast
            known.storedID = id
        }
        if let id = known.storedID, let refusal = refusal(ofLast: id, facts) { return refusal }
        if stream.lastSequence < known.settledSequence { known.settledSequence = known.storedSequence }
        if confirmed > provenLSN, repair == nil {
            repair = self.repair(from: min(known.storedID?.position.commitLSN ?? provenLSN, provenLSN), to: confirmed, facts)
        }
        guard confirmed <= provenLSN || repair != nil else {
            return lost(
                .slotAhead,
                "slot \(slot.name) is at \(confirmed), but changes are stored up to \(provenLSN) only: the changes between these two positions are missing",
                isConfirmedByTime: true)
        }
        var plan = plan(
            known, record, facts.recordedEnd?.commitTimestamp, confirmed: repair?.anchorLSN ?? confirmed, proven: provenLSN)
        // Of what was decoded behind the slot's position, rows that are to be read again are learnt once more.
        if record.backfill != nil, repair == nil { plan.startLSN = min(plan.startLSN, confirmed) }
        // Without a message of it, all before what is proven is stored or was never to be.
        if repair != nil, known.storedID == nil { plan.startLSN = max(plan.startLSN, provenLSN) }
        plan.repair = repair
        plan.newestCommit = facts.newestCommit
        guard !facts.options.isEqual(to: record.options) else { return .proceed(plan) }
        guard !facts.hasUnproven else {
            return optionsChanged(record, facts, "the messages behind sequence \(record.settled) are not yet compared with the slot")
        }
        guard let last = known.storedID, !facts.options.differsInFiltersOnly(from: record.options) else {
            return .proceed(plan)
        }
        // A position beyond the commit proves that the transaction is whole, where the message cannot tell any more.
        if !(isLastOfTransaction ?? (provenLSN > last.position.commitLSN)) {
            return optionsChanged(record, facts, "the stream ends inside a transaction (\(last))")
        }
        // With other options what proves the history need not be sent again.
        guard plan.proof == nil else {
            return optionsChanged(record, facts, "PostgreSQL has not been told of the stream's last event (\(last))")
        }
        return .proceed(plan)
    }

    /// Another message stands where the record's stood.
    private static func replaced(_ record: CheckpointRecord, _ found: String, _ facts: Facts) -> Outcome {
        lost(
            .streamTailLost,
            "sequence \(record.lastSequence) of stream \(facts.streamName) was \(record.lastId ?? "ours") and is \(found) now: the stream lost its end and received other messages",
            isConfirmedByTime: true)
    }

    private static func optionsChanged(_ record: CheckpointRecord, _ facts: Facts, _ state: String) -> Outcome {
        .refuse(
            .optionsChanged,
            what:
                "the settings that select the events changed from \"\(record.options)\" to \"\(facts.options.text)\" while \(state)",
            remedy: LostHistory.remedyForChangedOptions, isConfirmedByTime: false)
    }

    /// The refusal of a message that another writer stored.
    package static func foreign(_ whose: String, _ sequence: UInt64, _ facts: Facts) -> Outcome {
        .refuse(
            .foreignMessage,
            what: "the last message of stream \(facts.streamName), sequence \(sequence), is \(whose)",
            remedy: LostHistory.remedy(for: .foreignMessage),
            isConfirmedByTime: false)
    }

    /// Checks the stream's last event against the server's history.
    package static func refusal(ofLast id: MessageID, _ facts: Facts) -> Outcome? {
        guard facts.timelines.contains(timeline: id.timeline) else {
            return lost(
                .historyDiverged,
                "the stream ends with \(id) of timeline \(id.timeline), which is not in the server's history (the server is on timeline \(facts.timelines.currentTimeline))"
            )
        }
        if let switchPoint = facts.timelines.switchPoint(of: id.timeline), isBeyond(switchPoint, id.position) {
            return lost(
                .historyDiverged,
                "the stream ends with \(id), but the server left timeline \(id.timeline) at \(switchPoint): the server does not have the changes that were published after this position"
            )
        }
        if id.position.commitLSN > facts.serverFlushLSN {
            return lost(
                .positionAheadOfWAL,
                "the stream ends with \(id), but the server's WAL ends at \(facts.serverFlushLSN): the server was restored to an older state"
            )
        }
        return nil
    }

    /// Whether a change lies behind the end of a timeline: a commit record begins at its LSN, a message's LSN is where its record ends.
    private static func isBeyond(_ switchPoint: LSN, _ position: Position) -> Bool {
        position.ordinal == 0 ? position.commitLSN > switchPoint : position.commitLSN >= switchPoint
    }

    private static func tailLost(
        _ stream: StreamTail, _ record: CheckpointRecord, _ confirmed: LSN, _ last: MessageID?
    ) -> Outcome {
        lost(
            .streamTailLost,
            "stream \(record.stream) ends at sequence \(stream.lastSequence)\(last.map { " (\($0))" } ?? ""), but sequence \(record.lastSequence) (\(record.lastId ?? "")) was stored, and \(confirmed) was confirmed to PostgreSQL: the messages between are lost",
            isConfirmedByTime: true)
    }

    private static func plan(
        _ known: KnownEnd, _ record: CheckpointRecord, _ commitTimestamp: PostgresTimestamp?, confirmed: LSN,
        proven provenLSN: LSN
    ) -> Plan {
        guard let last = known.storedID else {
            // Nothing is stored that could prove the history: not begun beyond where the slot stands.
            return Plan(startLSN: confirmed, known: known, proof: nil, provenLSN: provenLSN)
        }
        let proof = proof(of: last, record, commitTimestamp, confirmed: confirmed)
        let startLSN =
            switch proof {
            case .transaction, nil: last.position.commitLSN
            // It would not be sent from its own LSN on.
            case .message, .nothingBefore: confirmed
            }
        return Plan(startLSN: startLSN, known: known, proof: proof, provenLSN: provenLSN)
    }

    /// What the server sends again of what is stored; nil: the slot is beyond it, and the server can skip nothing.
    private static func proof(
        of last: MessageID, _ record: CheckpointRecord, _ commitTimestamp: PostgresTimestamp?, confirmed: LSN
    ) -> HistoryProof? {
        let lsn = last.position.commitLSN
        // Its marker stands for an event that is sent again, as any other.
        let isEvent = last.kind == .event || record.hasSkip(of: last)
        // What is stored behind an event carries its position: the transaction comes again.
        if last.position.ordinal > 0 {
            return confirmed <= lsn
                ? .transaction(
                    last.position, last.transactionID, commitTimestamp: isEvent ? commitTimestamp : nil)
                : nil
        }
        guard confirmed < lsn else { return nil }
        // The marker itself may be gone: the record still tells that it was one.
        let isMarker = last.kind == .marker && !isEvent || record.gapLSN.map { lsn <= $0 } ?? false
        return isMarker ? .nothingBefore(lsn) : .message(lsn)
    }

    package static func lost(
        _ reason: StopReason, _ what: String, remedy: String? = nil, isConfirmedByTime: Bool = false
    ) -> Outcome {
        .refuse(
            reason, what: what, remedy: remedy ?? LostHistory.remedy(for: reason), isConfirmedByTime: isConfirmedByTime)
    }
}
