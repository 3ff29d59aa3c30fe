package import Capture
package import History
package import PostgresReplication
package import WAL

/// What both servers say, made up: an orderly stop of slot `s` and stream `S`, from which each test departs.
package struct RecoveryFacts {
    package static let identity = SourceIdentity(systemID: 7, databaseOID: 5, databaseName: "shop")
    package static let options = StreamOptions(replication: "publications=p", filters: "")
    package static let created = "2026-11-23T07:00:00Z"

    /// The last transaction stored: its commit LSN, and what confirms it.
    package static let commitLSN = LSN(0x1000)
    package static let endLSN = LSN(0x1040)

    package var timelines: TimelineHistory
    package var serverFlushLSN: LSN
    package var options: StreamOptions
    package var slot: SlotState?
    package var record: CheckpointRecord?
    package var stream: StreamTail?
    /// What stands where the record's message stood.
    package var recordedEnd: RecordedEnd?
    package var hasUnproven: Bool
    package var isMending: Bool
    /// The newest of ours among messages that no record tells of.
    package var unrecorded: LastPresent
    /// Of the replay window.
    package var anchor: SlotState?

    /// As an orderly stop leaves it.
    package static let stoppedSlot = SlotState(
        name: "s", database: "shop", restartLSN: LSN(0x800), confirmedFlushLSN: RecoveryFacts.endLSN, walStatus: "reserved")

    package init(
        timelines: TimelineHistory = TimelineHistory(currentTimeline: 1),
        serverFlushLSN: LSN = LSN(0x9000),
        options: StreamOptions = RecoveryFacts.options,
        slot: SlotState? = RecoveryFacts.stoppedSlot,
        record: CheckpointRecord? = RecoveryFacts.record(),
        stream: StreamTail? = RecoveryFacts.tail(.event(RecoveryFacts.id(), isLast: true)),
        recordedEnd: RecordedEnd? = RecordedEnd(sequence: 100, message: .event(RecoveryFacts.id(), isLast: true)),
        hasUnproven: Bool = false,
        isMending: Bool = false,
        unrecorded: LastPresent = .none,
        anchor: SlotState? = nil
    ) {
        self.timelines = timelines
        self.serverFlushLSN = serverFlushLSN
        self.options = options
        self.slot = slot
        self.record = record
        self.stream = stream
        self.recordedEnd = recordedEnd
        self.hasUnproven = hasUnproven
        self.isMending = isMending
        self.unrecorded = unrecorded
        self.anchor = anchor
    }

    package var facts: Recovery.Facts {
        var facts = Recovery.Facts(
            configuredSlot: "s", options: options, identity: Self.identity, timelines: timelines,
            serverFlushLSN: serverFlushLSN, slot: slot, record: record, stream: stream, streamName: "S",
            recordedEnd: recordedEnd, hasUnproven: hasUnproven, isMending: isMending, unrecorded: unrecorded)
        facts.anchor = anchor
        return facts
    }

    package var outcome: Recovery.Outcome { Recovery.assess(facts) }

    /// The plan; nil if it does not proceed.
    package var plan: Recovery.Plan? {
        if case .proceed(let plan) = outcome { plan } else { nil }
    }

    /// The reason; nil if it does not refuse.
    package var reason: StopReason? {
        if case .refuse(let reason, _, _, _) = outcome { reason } else { nil }
    }

    /// What it refuses for; nil if it does not refuse.
    package var what: String? {
        if case .refuse(_, let what, _, _) = outcome { what } else { nil }
    }

    /// Whether a refusal is read again on replicated streams before it is believed.
    package var isConfirmedByTime: Bool? {
        if case .refuse(_, _, _, let isConfirmedByTime) = outcome { isConfirmedByTime } else { nil }
    }

    package static func record(
        confirmed: LSN = endLSN, lastID: MessageID? = id(), lastSequence: UInt64 = 100, timeline: UInt32 = 1,
        kind: String = "created"
    ) -> CheckpointRecord {
        CheckpointRecord(
            systemID: identity.systemID, timeline: timeline, slot: "s", owner: "o", confirmedLSN: confirmed,
            lastID: lastID, lastSequence: lastSequence, stream: "S", streamCreated: created, options: options.text,
            genesis: CheckpointRecord.Genesis(kind: kind, lsn: "0/800", at: "2026-11-23T07:00:00.000000+00:00"))
    }

    package static func id(
        _ commitLSN: LSN = commitLSN, _ ordinal: UInt64 = 3, xid: UInt32 = 70, timeline: UInt32 = 1,
        kind: MessageID.Kind = .event, database: UInt32 = 5
    ) -> MessageID {
        MessageID(
            systemID: identity.systemID, databaseOID: database, timeline: timeline,
            transactionID: TransactionID(xid), position: Position(commitLSN: commitLSN, ordinal: ordinal),
            kind: kind)
    }

    /// The record's message as `id`, there as it was recorded.
    package mutating func record(last id: MessageID, isLast: Bool? = true, confirmed: LSN = endLSN) {
        record = Self.record(confirmed: confirmed, lastID: id)
        stream = Self.tail(.event(id, isLast: isLast))
        recordedEnd = RecordedEnd(sequence: 100, message: .event(id, isLast: isLast))
    }

    package static func tail(
        _ message: StreamTail.Message, lastSequence: UInt64 = 100, messageCount: UInt64 = 100, created: String = created,
        replicaCount: Int = 1
    ) -> StreamTail {
        StreamTail(
            lastSequence: lastSequence, message: message, messageCount: messageCount, created: created, leader: nil, replicaCount: replicaCount,
            isMajorityCurrent: true)
    }
}
