internal import WAL

/// The messages that carry rows.
extension PGOutputDecoder {
    mutating func insert(
        _ message: RawSpan, inStream: Bool, _ offset: inout Int
    ) throws(PGOutputError) -> Insert {
        oldColumns.removeAll(keepingCapacity: true)
        let streamedXID = try message.streamedXID(inStream: inStream, &offset)
        let relationID = RelationID(try message.integer(UInt32.self, &offset))
        let tag = try message.integer(UInt8.self, &offset)
        guard tag == TupleTag.new else { throw .unknownTag(tag, offset: offset - 1) }
        try Self.decodeTuple(message, &offset, into: &newColumns)
        return Insert(streamedXID: streamedXID, relationID: relationID)
    }

    mutating func update(
        _ message: RawSpan, inStream: Bool, _ offset: inout Int
    ) throws(PGOutputError) -> Update {
        let streamedXID = try message.streamedXID(inStream: inStream, &offset)
        let relationID = RelationID(try message.integer(UInt32.self, &offset))
        var old = OldTuple.none
        var tag = try message.integer(UInt8.self, &offset)
        if tag == TupleTag.new {
            oldColumns.removeAll(keepingCapacity: true)
        } else {
            old = try oldTuple(tag, message, &offset)
            tag = try message.integer(UInt8.self, &offset)
            guard tag == TupleTag.new else { throw .unknownTag(tag, offset: offset - 1) }
        }
        try Self.decodeTuple(message, &offset, into: &newColumns)
        return Update(streamedXID: streamedXID, relationID: relationID, old: old)
    }

    mutating func delete(
        _ message: RawSpan, inStream: Bool, _ offset: inout Int
    ) throws(PGOutputError) -> Delete {
        newColumns.removeAll(keepingCapacity: true)
        let streamedXID = try message.streamedXID(inStream: inStream, &offset)
        let relationID = RelationID(try message.integer(UInt32.self, &offset))
        let tag = try message.integer(UInt8.self, &offset)
        let old = try oldTuple(tag, message, &offset)
        return Delete(streamedXID: streamedXID, relationID: relationID, old: old)
    }

    private mutating func oldTuple(
        _ tag: UInt8, _ message: RawSpan, _ offset: inout Int
    ) throws(PGOutputError) -> OldTuple {
        guard tag == TupleTag.key || tag == TupleTag.old else { throw .unknownTag(tag, offset: offset - 1) }
        try Self.decodeTuple(message, &offset, into: &oldColumns)
        return tag == TupleTag.key ? .key : .full
    }

    /// Reads one TupleData over what `columns` held.
    ///
    /// Shape: `columnCount: Int16`, then for each column `kind: Byte1`, and for `t` and `b` also `byteCount: Int32` and
    /// that many bytes.
    /// - Throws: `PGOutputError.truncated`, `.negativeCount`, `.unknownTag`; all carry the offset.
    private static func decodeTuple(
        _ message: RawSpan, _ offset: inout Int, into columns: inout [TupleColumn]
    ) throws(PGOutputError) {
        columns.removeAll(keepingCapacity: true)
        let columnCount = Int(try message.integer(UInt16.self, &offset))
        // Before growing the storage: the count is the sender's word, and every column takes a byte at least.
        try message.require(columnCount, at: offset)
        var cursor = offset
        // One check for uniqueness and room a row, instead of one a column.
        try columns.append(addingCapacity: columnCount) {
            (output: inout OutputSpan<TupleColumn>) throws(PGOutputError) in
            for _ in 0..<columnCount {
                output.append(try decodeColumn(message, &cursor))
            }
        }
        offset = cursor
    }

    @inline(__always)
    private static func decodeColumn(
        _ message: RawSpan, _ offset: inout Int
    ) throws(PGOutputError) -> TupleColumn {
        let tag = try message.integer(UInt8.self, &offset)
        let kind: TupleColumnKind
        switch tag {
        case ColumnTag.text: kind = .text
        case ColumnTag.null: return TupleColumn(kind: .null, start: 0, byteCount: 0)
        case ColumnTag.unchanged: return TupleColumn(kind: .unchanged, start: 0, byteCount: 0)
        case ColumnTag.binary: kind = .binary
        default: throw .unknownTag(tag, offset: offset - 1)
        }
        let byteCount = try message.count(&offset)
        try message.require(byteCount, at: offset)
        // Both fit: `decode` has refused messages longer than `Int32.max`.
        let column = TupleColumn(
            kind: kind, start: Int32(truncatingIfNeeded: offset), byteCount: Int32(truncatingIfNeeded: byteCount))
        offset += byteCount
        return column
    }
}

/// What stands before a tuple.
private enum TupleTag {
    static let new = UInt8(ascii: "N")
    static let key = UInt8(ascii: "K")
    static let old = UInt8(ascii: "O")
}

/// What stands before a column's value.
private enum ColumnTag {
    static let null = UInt8(ascii: "n")
    static let unchanged = UInt8(ascii: "u")
    static let text = UInt8(ascii: "t")
    static let binary = UInt8(ascii: "b")
}
