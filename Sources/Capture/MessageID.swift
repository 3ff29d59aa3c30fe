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
/// The id is the position, so what is stored says how far the streamer got. A gap marker's id is such an id followed by `.gap.<random>`.
public struct MessageID: Hashable, Sendable {
    public var systemID: UInt64
    public var databaseOID: UInt32
    /// The timeline on which the commit LSN lies: after a failover xid and LSN can come again.
    public var timeline: UInt32
    public var transactionID: TransactionID
    public var position: Position
    public var isGapMarker: Bool

    public init(
        systemID: UInt64, databaseOID: UInt32, timeline: UInt32, transactionID: TransactionID, position: Position,
        isGapMarker: Bool = false
    ) {
        self.systemID = systemID
        self.databaseOID = databaseOID
        self.timeline = timeline
        self.transactionID = transactionID
        self.position = position
        self.isGapMarker = isGapMarker
    }

    /// Whether the id is of this database's changes.
    public func isOf(_ identity: SourceIdentity) -> Bool {
        systemID == identity.systemID && databaseOID == identity.databaseOID
    }
}

extension MessageID: LosslessStringConvertible, CustomStringConvertible {
    /// Reads exactly what `description` writes, and a gap marker's id; nil for anything else: a foreign message.
    public init?(_ text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).map {
            Substring($0)
        }
        guard parts.count == 6 || (parts.count == 8 && parts[6] == "gap" && !parts[7].isEmpty),
            let systemID = Self.decimal(parts[0], as: UInt64.self),
            let databaseOID = Self.decimal(parts[1], as: UInt32.self),
            let timeline = Self.decimal(parts[2], as: UInt32.self),
            let xid = Self.decimal(parts[3], as: UInt32.self),
            parts[4].utf8.count == 16, parts[4].utf8.allSatisfy(Self.isUpperHexadecimal),
            let commitLSN = UInt64(parts[4], radix: 16),
            let ordinal = Self.decimal(parts[5], as: UInt64.self)
        else { return nil }
        self.init(
            systemID: systemID, databaseOID: databaseOID, timeline: timeline, transactionID: TransactionID(xid),
            position: Position(commitLSN: LSN(commitLSN), ordinal: ordinal), isGapMarker: parts.count == 8)
    }

    /// The id as the header carries it; of a gap marker the part before `.gap`.
    public var description: String {
        let digits = String(position.commitLSN.rawValue, radix: 16, uppercase: true)
        let padding = String(repeating: "0", count: 16 - digits.utf8.count)
        return "\(systemID).\(databaseOID).\(timeline).\(transactionID).\(padding)\(digits).\(position.ordinal)"
    }

    private static func decimal<T: FixedWidthInteger>(_ text: Substring, as: T.Type) -> T? {
        // A sign or a leading zero would make two texts of one id.
        guard let first = text.utf8.first, first != UInt8(ascii: "+"), first != UInt8(ascii: "-"),
            first != UInt8(ascii: "0") || text.utf8.count == 1
        else { return nil }
        return T(text)
    }

    private static func isUpperHexadecimal(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "A")...UInt8(ascii: "F")).contains(byte)
    }
}
