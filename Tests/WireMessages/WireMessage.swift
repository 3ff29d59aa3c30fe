/// Writes pgoutput messages (protocol version 1) by hand, for what no server can be made to send.
package enum WireMessage {
    package enum Cell {
        case null, unchanged
        case text(String)
        case bytes([UInt8])
        case binary([UInt8])
    }

    package struct Column {
        package var name: String
        package var typeOID: UInt32
        package var isKey: Bool

        package init(name: String, typeOID: UInt32 = 25, isKey: Bool = false) {
            self.name = name
            self.typeOID = typeOID
            self.isKey = isKey
        }
    }

    package static func begin(_ commitLSN: UInt64, xid: UInt32 = 735, timestamp: Int64 = 0) -> [UInt8] {
        [UInt8(ascii: "B")] + integer(commitLSN) + integer(timestamp) + integer(xid)
    }

    /// Moves a Begin, or a Commit of 40 bytes, to another commit LSN, in place.
    package static func move(_ message: inout [UInt8], to commitLSN: UInt64) {
        let isCommit = message[0] == UInt8(ascii: "C")
        message.withUnsafeMutableBytes {
            $0.storeBytes(of: commitLSN.bigEndian, toByteOffset: isCommit ? 2 : 1, as: UInt64.self)
            if isCommit { $0.storeBytes(of: (commitLSN + 40).bigEndian, toByteOffset: 10, as: UInt64.self) }
        }
    }

    package static func commit(_ commitLSN: UInt64, endLSN: UInt64? = nil, timestamp: Int64 = 0) -> [UInt8] {
        [UInt8(ascii: "C"), 0] + integer(commitLSN) + integer(endLSN ?? commitLSN + 40) + integer(timestamp)
    }

    package static func relation(
        _ id: UInt32 = 16_400, schema: String = "public", name: String = "tb_order", identity: Unicode.Scalar = "d",
        columns: [Column]
    ) -> [UInt8] {
        var message = [UInt8(ascii: "R")] + integer(id) + string(schema) + string(name)
        message += [UInt8(ascii: identity)] + integer(UInt16(columns.count))
        for column in columns {
            message += [column.isKey ? 1 : 0] + string(column.name) + integer(column.typeOID) + integer(Int32(-1))
        }
        return message
    }

    package static func insert(into id: UInt32 = 16_400, _ cells: [Cell]) -> [UInt8] {
        [UInt8(ascii: "I")] + integer(id) + tuple("N", cells)
    }

    package static func update(in id: UInt32 = 16_400, key: [Cell]? = nil, old: [Cell]? = nil, new: [Cell]) -> [UInt8] {
        [UInt8(ascii: "U")] + integer(id) + (key.map { tuple("K", $0) } ?? []) + (old.map { tuple("O", $0) } ?? [])
            + tuple("N", new)
    }

    package static func delete(from id: UInt32 = 16_400, key: [Cell]) -> [UInt8] {
        [UInt8(ascii: "D")] + integer(id) + tuple("K", key)
    }

    package static func truncate(_ ids: [UInt32], flags: UInt8 = 0) -> [UInt8] {
        [UInt8(ascii: "T")] + integer(UInt32(ids.count)) + [flags] + ids.flatMap { integer($0) }
    }

    package static func message(
        _ content: [UInt8], prefix: String = "fraiseql_events", isTransactional: Bool = true, lsn: UInt64 = 0x100
    ) -> [UInt8] {
        [UInt8(ascii: "M"), isTransactional ? 1 : 0] + integer(lsn) + string(prefix) + integer(UInt32(content.count))
            + content
    }

    private static func tuple(_ tag: Unicode.Scalar, _ cells: [Cell]) -> [UInt8] {
        var message = [UInt8(ascii: tag)] + integer(UInt16(cells.count))
        for cell in cells {
            switch cell {
            case .null: message.append(UInt8(ascii: "n"))
            case .unchanged: message.append(UInt8(ascii: "u"))
            case .text(let text): message += [UInt8(ascii: "t")] + integer(UInt32(text.utf8.count)) + Array(text.utf8)
            case .bytes(let bytes): message += [UInt8(ascii: "t")] + integer(UInt32(bytes.count)) + bytes
            case .binary(let bytes): message += [UInt8(ascii: "b")] + integer(UInt32(bytes.count)) + bytes
            }
        }
        return message
    }

    private static func string(_ text: String) -> [UInt8] { Array(text.utf8) + [0] }

    private static func integer(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }
}
