import Capture
import JetStreamPublishing
import WAL

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What a streamer knows for sure, kept in the key-value bucket under the stream's name.
///
/// It is put before its `confirmedLSN` is told to PostgreSQL, always by compare-and-set on its revision.
struct CheckpointRecord: Codable, Equatable, Sendable {
    /// What made the first record.
    struct Genesis: Codable, Equatable, Sendable {
        /// `claimed`: setup is under way; `created`: with the slot; `adopted`: for a slot that was there; `gap`: behind a gap.
        var kind: String
        var lsn: String
        var at: String
        /// Behind a gap: where the first of all streams for this slot began, `0/0` where nobody knows; absent otherwise.
        var firstLsn: String?
        /// The last of another writer's messages behind which the stream was begun on purpose (`--after-foreign`); absent otherwise.
        var afterForeign: UInt64?
    }

    static let currentSchema = "slotstream.checkpoint/1"

    var schema = CheckpointRecord.currentSchema
    var systemId: String
    var timeline: UInt32
    var slot: String
    /// Random for each process; empty before the first streamer.
    var owner: String
    /// `r`: nothing beyond it has been confirmed to PostgreSQL.
    var confirmedLsn: String
    /// The message id of the last event known to be stored; absent before the first.
    var lastId: String?
    /// Its sequence; 0 before the first.
    var lastSequence: UInt64
    /// Everything up to it was compared: behind `lastSequence` stand only messages that are not ours. Absent: `lastSequence`.
    var settledSequence: UInt64?
    var stream: String
    /// The stream's creation time as its server tells it: another one is another stream.
    var streamCreated: String
    /// Of the options given to START_REPLICATION, which decide the ordinals.
    var options: String
    var genesis: Genesis

    /// Put before the slot is created, so that an interrupted setup can be told from lost history; no position yet.
    var isClaim: Bool { genesis.kind == Self.claimKind }

    static let claimKind = "claimed"

    static let gapKind = "gap"

    static let adoptedKind = "adopted"

    /// Where the last gap ends that was accepted; nil: none was.
    var gapLSN: LSN? { genesis.kind == Self.gapKind ? LSN(genesis.lsn) : nil }

    /// Where the stream began, and those before it that were given up; invalid: nobody knows.
    var firstLSN: LSN {
        if let first = genesis.firstLsn { return LSN(first) ?? .invalid }
        // A record of before this was kept tells only where its last gap ended.
        return gapLSN == nil ? LSN(genesis.lsn) ?? .invalid : .invalid
    }

    var confirmedLSN: LSN { LSN(confirmedLsn) ?? .invalid }

    var settled: UInt64 { max(lastSequence, settledSequence ?? 0) }

    /// What is proven of the stream's end.
    var knownEnd: KnownEnd {
        KnownEnd(storedSequence: lastSequence, storedID: lastMessageID, settledSequence: settled, created: streamCreated)
    }

    var lastMessageID: MessageID? { lastId.flatMap { MessageID($0) } }

    /// It has a sequence that no stream can have reached.
    struct Implausible: Error {}

    /// - Throws: a `DecodingError` or `Implausible`.
    init(json: [UInt8]) throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        self = try decoder.decode(CheckpointRecord.self, from: Data(json))
        // Half of all sequences are control tokens.
        guard settled < AckMailbox.controlBit else { throw Implausible() }
    }

    init(
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

    func json() -> [UInt8] { Array(ContractJSON.text(self).utf8) }
}
