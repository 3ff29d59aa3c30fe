import PGOutput
import WAL

/// The decoder's inverse: writes a decoded message's bytes again, from its fields and ranges alone.
///
/// What comes out equal to what went in has had every byte read, once, as the right field.
struct MessageEncoder {
    private let source: DecodedMessage
    private var bytes: [UInt8] = []

    /// - Returns: nil if a range does not lie inside the message.
    static func bytes(of decoded: DecodedMessage) -> [UInt8]? {
        var encoder = MessageEncoder(source: decoded)
        return encoder.encode() ? encoder.bytes : nil
    }

    private init(source: DecodedMessage) { self.source = source }

    private mutating func encode() -> Bool {
        switch source.message {
        case .begin(let begin):
            tag("B")
            integers(begin.finalLSN, begin.commitTimestamp, begin.xid)
        case .commit(let commit):
            tag("C", flags: 0)
            integers(commit.commitLSN, commit.endLSN, commit.commitTimestamp)
        case .origin(let origin):
            tag("O")
            integers(origin.commitLSN)
            return string(origin.name)
        case .relation(let relation): encode(relation)
        case .type(let type):
            tag("Y", xid: type.streamedXID)
            integer(type.oid)
            names(type.namespace == "pg_catalog" ? "" : type.namespace, type.name)
        case .insert(let insert):
            tag("I", xid: insert.streamedXID)
            integer(insert.relationID.rawValue)
            return tuple("N", source.newColumns) && source.oldColumns.isEmpty
        case .update(let update):
            tag("U", xid: update.streamedXID)
            integer(update.relationID.rawValue)
            return old(update.old) && tuple("N", source.newColumns)
        case .delete(let delete):
            tag("D", xid: delete.streamedXID)
            integer(delete.relationID.rawValue)
            return old(delete.old) && delete.old != .none && source.newColumns.isEmpty
        case .truncate(let truncate):
            tag("T", xid: truncate.streamedXID)
            integer(UInt32(truncate.relationCount))
            bytes.append((truncate.cascade ? 1 : 0) | (truncate.restartIdentity ? 2 : 0))
            for index in 0..<truncate.relationCount {
                integer(truncate.relationID(at: index, in: source.bytes.span.bytes).rawValue)
            }
        case .message(let message):
            tag("M", xid: message.streamedXID, flags: message.isTransactional ? 1 : 0)
            integers(message.lsn)
            guard string(message.prefix) else { return false }
            integer(UInt32(message.content.count))
            return append(message.content)
        case .streamStart(let start):
            tag("S", xid: start.xid, flags: start.isFirstSegment ? 1 : 0)
        case .streamStop: tag("E")
        case .streamCommit(let commit):
            tag("c", xid: commit.xid, flags: 0)
            integers(commit.commitLSN, commit.endLSN, commit.commitTimestamp)
        case .streamAbort(let abort):
            tag("A", xid: abort.xid)
            integers(abort.subxid)
            if let lsn = abort.abortLSN, let timestamp = abort.abortTimestamp { integers(lsn, timestamp) }
            return (abort.abortLSN == nil) == (abort.abortTimestamp == nil)
        case .beginPrepare(let begin):
            tag("b")
            integers(begin.prepareLSN, begin.endLSN, begin.prepareTimestamp, begin.xid)
            return string(begin.gid)
        case .prepare(let prepare):
            tag("P", flags: 0)
            integers(prepare.prepareLSN, prepare.endLSN, prepare.prepareTimestamp, prepare.xid)
            return string(prepare.gid)
        case .commitPrepared(let commit):
            tag("K", flags: 0)
            integers(commit.commitLSN, commit.endLSN, commit.commitTimestamp, commit.xid)
            return string(commit.gid)
        case .rollbackPrepared(let rollback):
            tag("r", flags: 0)
            integers(rollback.prepareEndLSN, rollback.rollbackEndLSN, rollback.prepareTimestamp)
            integers(rollback.rollbackTimestamp, rollback.xid)
            return string(rollback.gid)
        case .streamPrepare(let prepare):
            tag("p", flags: 0)
            integers(prepare.prepareLSN, prepare.endLSN, prepare.prepareTimestamp, prepare.xid)
            return string(prepare.gid)
        }
        return true
    }

    private mutating func encode(_ relation: Relation) {
        tag("R", xid: relation.streamedXID)
        integer(relation.id.rawValue)
        names(relation.namespace == "pg_catalog" ? "" : relation.namespace, relation.name)
        bytes.append(relation.replicaIdentity.rawValue)
        integer(UInt16(relation.columns.count))
        for column in relation.columns {
            bytes.append(column.isKey ? 1 : 0)
            names(column.name)
            integer(column.typeOID)
            integer(column.typeModifier)
        }
    }

    private mutating func old(_ old: OldTuple) -> Bool {
        switch old {
        case .none: source.oldColumns.isEmpty
        case .key: tuple("K", source.oldColumns)
        case .full: tuple("O", source.oldColumns)
        }
    }

    private mutating func tuple(_ tag: Unicode.Scalar, _ columns: [TupleColumn]) -> Bool {
        bytes.append(UInt8(ascii: tag))
        integer(UInt16(columns.count))
        for column in columns {
            switch column.kind {
            case .null: bytes.append(UInt8(ascii: "n"))
            case .unchanged: bytes.append(UInt8(ascii: "u"))
            case .text: bytes.append(UInt8(ascii: "t"))
            case .binary: bytes.append(UInt8(ascii: "b"))
            }
            if column.kind == .text || column.kind == .binary {
                integer(column.byteCount)
                guard append(column.bytes) else { return false }
            } else if column.start != 0 || column.byteCount != 0 {
                return false
            }
        }
        return true
    }

    private mutating func tag(_ tag: Unicode.Scalar, xid: TransactionID? = nil, flags: UInt8? = nil) {
        bytes.append(UInt8(ascii: tag))
        if let xid { integer(xid.rawValue) }
        if let flags { bytes.append(flags) }
    }

    private mutating func integers<each Value: RawRepresentable>(_ value: repeat each Value)
    where repeat (each Value).RawValue: FixedWidthInteger {
        repeat integer((each value).rawValue)
    }

    private mutating func integer(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    private mutating func names(_ names: String...) {
        for name in names { bytes += Array(name.utf8) + [0] }
    }

    private mutating func string(_ range: ByteRange) -> Bool {
        guard append(range) else { return false }
        bytes.append(0)
        return true
    }

    private mutating func append(_ range: ByteRange) -> Bool {
        guard range.start >= 0, range.count >= 0, range.end <= source.bytes.count else { return false }
        bytes += source.bytes[range.start..<range.end]
        return true
    }
}
