public import WAL

/// The database whose changes a message id names.
public struct SourceIdentity: Hashable, Sendable {
    /// `IDENTIFY_SYSTEM`'s systemid: made by initdb, kept by every copy of the cluster.
    public var systemID: UInt64
    public var databaseOID: UInt32
    /// The name in the events' `source`; no part of the identity's text.
    public var databaseName: String

    public init(systemID: UInt64, databaseOID: UInt32, databaseName: String) {
        self.systemID = systemID
        self.databaseOID = databaseOID
        self.databaseName = databaseName
    }
}

/// What `Nats-Msg-Id` says: `<system identifier>.<database oid>.<timeline>.<xid>.<commit LSN, 16 hex digits>.<ordinal>`.
///
/// The id is the position, so what is stored says how far the streamer got. What is no event of a change has such an id too, followed by
/// what it is: see ``Kind``.
public struct MessageID: Hashable, Sendable {
    /// What stands behind the position.
    public enum Kind: Hashable, Sendable {
        /// Nothing: the event of the change at the position.
        case event
        /// `.gap.<random>`: a marker; the stream goes on from the position.
        case marker
        /// `.late.<id>`: the event of another, earlier change, stored behind the position by `mend`.
        case late(timeline: UInt32, TransactionID, Position)
        /// `.r.<replay id>`: the event of the change at the position once more, in another stream: where it is found says nothing.
        case replayed
        /// `.b.<run>.<count>.<table oid>.<filenode>.<block>.<offset>`: a row of a backfill, stored behind the event at the position and before the next transaction.
        case backfilled(BackfillPlace)
    }

    public var systemID: UInt64
    public var databaseOID: UInt32
    /// The timeline on which the commit LSN lies: after a failover xid and LSN can come again.
    public var timeline: UInt32
    public var transactionID: TransactionID
    public var position: Position
    public var kind: Kind

    public init(
        systemID: UInt64, databaseOID: UInt32, timeline: UInt32, transactionID: TransactionID, position: Position,
        kind: Kind = .event
    ) {
        self.systemID = systemID
        self.databaseOID = databaseOID
        self.timeline = timeline
        self.transactionID = transactionID
        self.position = position
        self.kind = kind
    }

    /// Whether the id is of this database's changes.
    public func isOf(_ identity: SourceIdentity) -> Bool {
        systemID == identity.systemID && databaseOID == identity.databaseOID
    }
}

extension MessageID: LosslessStringConvertible, CustomStringConvertible {
    /// Reads exactly what `description` writes, and the ids of all kinds; nil for anything else: a foreign message.
    public init?(_ text: String) {
        var text = text
        let id = text.withUTF8 { MessageID(utf8: $0) }
        guard let id else { return nil }
        self = id
    }

    /// As ``init(_:)``, from the header's bytes; allocates nothing.
    public init?(utf8 bytes: UnsafeBufferPointer<UInt8>) {
        var reader = Reader(bytes: bytes)
        guard var id = reader.position() else { return nil }
        guard let kind = reader.kind(in: id) else { return nil }
        id.kind = kind
        self = id
    }

    /// As ``init(utf8:)``; nil without a header too.
    public init?(header: Span<UInt8>?) {
        guard let header else { return nil }
        guard let id = header.withUnsafeBufferPointer({ MessageID(utf8: $0) }) else { return nil }
        self = id
    }

    /// The position at which a message with this id stands in the stream that is streamed to; nil: it is none of that stream's, whatever it names.
    public var streamPosition: Position? { kind == .replayed ? nil : position }

    /// The id of a marker behind this position; `random` tells one from the other.
    public func marker(random: UInt64) -> String { "\(self).gap.\(String(random, radix: 36))" }

    /// The id of an earlier change's event that is stored behind this position.
    public func late(_ original: MessageID) -> String { "\(self).late.\(original)" }

    /// The id of a message of a backfill behind this position.
    public func backfilled(_ place: BackfillPlace) -> String { "\(self).b.\(place)" }

    /// The backfill's part; nil of any other kind.
    public var backfillPlace: BackfillPlace? {
        if case .backfilled(let place) = kind { place } else { nil }
    }

    /// The id as the header of the change's own event carries it, whatever the kind is.
    public var description: String {
        let digits = String(position.commitLSN.rawValue, radix: 16, uppercase: true)
        let padding = String(repeating: "0", count: 16 - digits.utf8.count)
        return "\(systemID).\(databaseOID).\(timeline).\(transactionID).\(padding)\(digits).\(position.ordinal)"
    }

    /// The id of the late event's own change; nil of any other kind.
    public var lateOriginal: MessageID? {
        guard case .late(let timeline, let transactionID, let position) = kind else { return nil }
        return MessageID(
            systemID: systemID, databaseOID: databaseOID, timeline: timeline, transactionID: transactionID,
            position: position)
    }

    /// Reads the tokens of an id, one after the other.
    private struct Reader {
        let bytes: UnsafeBufferPointer<UInt8>
        var index = 0

        private static let dot = UInt8(ascii: ".")

        /// The six tokens of a position, up to a dot or the end.
        mutating func position() -> MessageID? {
            guard let systemID = decimal(), let databaseOID = decimal().flatMap({ UInt32(exactly: $0) }),
                let timeline = decimal().flatMap({ UInt32(exactly: $0) }),
                let transactionID = decimal().flatMap({ UInt32(exactly: $0) }), let commitLSN = hexadecimal(),
                let ordinal = decimal()
            else { return nil }
            return MessageID(
                systemID: systemID, databaseOID: databaseOID, timeline: timeline,
                transactionID: TransactionID(transactionID),
                position: Position(commitLSN: LSN(commitLSN), ordinal: ordinal))
        }

        /// What stands behind the position of `id`; nil if nothing of ours does.
        mutating func kind(in id: MessageID) -> Kind? {
            // The position took the dot behind itself.
            if index > bytes.count { return .event }
            if takes("gap.") { return isLastToken ? .marker : nil }
            if takes("r.") { return isLastToken ? .replayed : nil }
            if takes("b.") { return backfilled() }
            guard takes("late."), let original = position(), index > bytes.count, original.systemID == id.systemID,
                original.databaseOID == id.databaseOID
            else { return nil }
            return .late(timeline: original.timeline, original.transactionID, original.position)
        }

        private mutating func backfilled() -> Kind? {
            guard let run = decimal(), let count = decimal(), let tableOID = decimal().flatMap({ UInt32(exactly: $0) }),
                let filenode = decimal().flatMap({ UInt32(exactly: $0) }), let block = decimal().flatMap({ UInt32(exactly: $0) }),
                let offset = decimal().flatMap({ UInt16(exactly: $0) }), index > bytes.count
            else { return nil }
            return .backfilled(
                BackfillPlace(run: run, count: count, tableOID: tableOID, filenode: filenode, block: block, offset: offset))
        }

        /// Goes on behind `text` if it is next.
        private mutating func takes(_ text: StaticString) -> Bool {
            let text = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
            guard bytes[index...].starts(with: text) else { return false }
            index += text.count
            return true
        }

        /// Whether one token stands before the end, and is not empty.
        private var isLastToken: Bool { index < bytes.count && !bytes[index...].contains(Self.dot) }

        /// A number without sign or leading zeros, which would make two texts of one id; with the dot behind it.
        private mutating func decimal() -> UInt64? {
            let start = index
            var value: UInt64 = 0
            while index < bytes.count, bytes[index] != Self.dot {
                let digit = bytes[index] &- UInt8(ascii: "0")
                guard digit <= 9 else { return nil }
                let (tens, isTooLarge) = value.multipliedReportingOverflow(by: 10)
                let (sum, isOver) = tens.addingReportingOverflow(UInt64(digit))
                guard !isTooLarge, !isOver else { return nil }
                value = sum
                index += 1
            }
            let count = index - start
            guard count == 1 || (count > 1 && bytes[start] != UInt8(ascii: "0")) else { return nil }
            index += 1
            return value
        }

        /// Sixteen upper-case digits, with the dot behind them.
        private mutating func hexadecimal() -> UInt64? {
            guard index + 16 < bytes.count, bytes[index + 16] == Self.dot else { return nil }
            var value: UInt64 = 0
            for byte in bytes[index..<index + 16] {
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(byte - UInt8(ascii: "0"))
                case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt64(byte - UInt8(ascii: "A") + 10)
                default: return nil
                }
            }
            index += 17
            return value
        }
    }
}
