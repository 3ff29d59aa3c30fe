package import Capture
import JetStreamPublishing
package import WAL

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What a streamer knows for sure, kept in the key-value bucket under the stream's name.
///
/// It is put before its `confirmedLSN` is told to PostgreSQL, always by compare-and-set on its revision.
package struct CheckpointRecord: Codable, Equatable, Sendable {
    /// The key-value bucket of the records; the key is the stream's name.
    package static let bucket = "slotstream"

    /// What made the first record.
    package struct Genesis: Codable, Equatable, Sendable {
        /// `claimed`: setup is under way; `created`: with the slot; `adopted`: for a slot that was there; `gap`: behind a gap.
        package var kind: String
        package var lsn: String
        package var at: String
        /// Behind a gap: where the first of all streams for this slot began, `0/0` where nobody knows; absent otherwise.
        package var firstLsn: String?
        /// The last of another writer's messages behind which the stream was begun on purpose (`--after-foreign`); absent otherwise.
        package var afterForeign: UInt64?

        package init(kind: String, lsn: String, at: String, firstLsn: String? = nil, afterForeign: UInt64? = nil) {
            self.kind = kind
            self.lsn = lsn
            self.at = at
            self.firstLsn = firstLsn
            self.afterForeign = afterForeign
        }
    }

    package static let currentSchema = "slotstream.checkpoint/1"

    package var schema = CheckpointRecord.currentSchema
    package var systemId: String
    package var timeline: UInt32
    package var slot: String
    /// Random for each process; empty before the first streamer.
    package var owner: String
    /// `r`: nothing beyond it has been confirmed to PostgreSQL.
    package var confirmedLsn: String
    /// The message id of the last event known to be stored; absent before the first.
    package var lastId: String?
    /// Its sequence; 0 before the first.
    package var lastSequence: UInt64
    /// Everything up to it was compared: behind `lastSequence` stand only messages that are not ours. Absent: `lastSequence`.
    package var settledSequence: UInt64?
    package var stream: String
    /// The stream's creation time as its server tells it: another one is another stream.
    package var streamCreated: String
    /// Of the options given to START_REPLICATION, which decide the ordinals.
    package var options: String
    package var genesis: Genesis
    /// Changes that were passed over on purpose, and may be decoded again; absent: none. A version before this was kept stops at them again.
    var skips: [Skip]?
    /// The stream's durable consumers when they were looked at last: who was lost with a stream that is deleted. Absent: nobody knows.
    package var consumers: [String]?
    /// The run that is under way; absent: none is.
    package var backfill: BackfillProgress?
    /// Those that ended, oldest first; absent: none did.
    package var finishedBackfills: [FinishedBackfill]?
    /// The published tables that one of those, or an earlier one, has read, or that need none; absent: nobody has looked yet.
    package var backfilledTables: [String]?
    /// What `backfill.on_first_start` names is asked for as soon as somebody streams: nothing was stored when it was first looked at. Absent: it was not looked at yet.
    package var isFirstBackfillDue: Bool?

    package init(
        systemId: String, timeline: UInt32, slot: String,
        owner: String, confirmedLsn: String, lastId: String? = nil, lastSequence: UInt64,
        settledSequence: UInt64? = nil, stream: String, streamCreated: String, options: String, genesis: Genesis
    ) {
        self.systemId = systemId
        self.timeline = timeline
        self.slot = slot
        self.owner = owner
        self.confirmedLsn = confirmedLsn
        self.lastId = lastId
        self.lastSequence = lastSequence
        self.settledSequence = settledSequence
        self.stream = stream
        self.streamCreated = streamCreated
        self.options = options
        self.genesis = genesis
    }

    /// Whether both say the same of backfills.
    package func hasSameBackfills(as other: CheckpointRecord?) -> Bool {
        other.map {
            backfill == $0.backfill && finishedBackfills == $0.finishedBackfills && backfilledTables == $0.backfilledTables
                && isFirstBackfillDue == $0.isFirstBackfillDue
        } ?? false
    }

    /// Goes on with what another record says of backfills.
    package mutating func takeBackfills(of other: CheckpointRecord?) {
        backfill = other?.backfill
        finishedBackfills = other?.finishedBackfills
        backfilledTables = other?.backfilledTables
        isFirstBackfillDue = other?.isFirstBackfillDue
    }

    /// Put before the slot is created, so that an interrupted setup can be told from lost history; no position yet.
    package var isClaim: Bool { genesis.kind == Self.claimKind }

    package static let claimKind = "claimed"

    package static let gapKind = "gap"

    package static let adoptedKind = "adopted"

    /// Where the last gap ends that was accepted; nil: none was.
    package var gapLSN: LSN? { genesis.kind == Self.gapKind ? LSN(genesis.lsn) : nil }

    /// Where the stream began, and those before it that were given up; invalid: nobody knows.
    package var firstLSN: LSN {
        if let first = genesis.firstLsn { return LSN(first) ?? .invalid }
        // A record of before this was kept tells only where its last gap ended.
        return gapLSN == nil ? LSN(genesis.lsn) ?? .invalid : .invalid
    }

    package var confirmedLSN: LSN { LSN(confirmedLsn) ?? .invalid }

    package var settled: UInt64 { max(lastSequence, settledSequence ?? 0) }

    /// What is proven of the stream's end.
    package var knownEnd: KnownEnd {
        KnownEnd(
            storedSequence: lastSequence, storedID: lastSequence == 0 ? nil : lastMessageID, settledSequence: settled, created: streamCreated,
            skips: acceptedSkips)
    }

    package var lastMessageID: MessageID? { lastId.flatMap { MessageID($0) } }

    /// It has a sequence that no stream can have reached.
    package struct Implausible: Error {}

    /// - Throws: a `DecodingError` or `Implausible`.
    package init(json: [UInt8]) throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        self = try decoder.decode(CheckpointRecord.self, from: Data(json))
        // Half of all sequences are control tokens.
        guard settled < AckMailbox.controlBit else { throw Implausible() }
    }

    package init(
        systemID: UInt64, timeline: UInt32, slot: String, owner: String, confirmedLSN: LSN, lastID: MessageID?,
        lastSequence: UInt64, stream: String, streamCreated: String, options: String, genesis: Genesis
    ) {
        self.systemId = String(systemID)
        self.timeline = timeline
        self.slot = slot
        self.owner = owner
        self.confirmedLsn = confirmedLSN.description
        self.lastId = lastID?.description
        self.lastSequence = lastSequence
        self.stream = stream
        self.streamCreated = streamCreated
        self.options = options
        self.genesis = genesis
    }

    package func json() -> [UInt8] { Array(ContractJSON.text(self).utf8) }
}
