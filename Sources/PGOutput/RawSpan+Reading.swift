
internal import WAL

/// Reads a message's fields: each function reads one at `offset` and moves `offset` behind it.
///
/// All integers are big-endian. Each checks its bounds once and then loads unchecked.
extension RawSpan {
    /// Throws `truncated` unless `neededByteCount` (not negative) bytes are left at `offset`.
    @inline(__always)
    func require(_ neededByteCount: Int, at offset: Int) throws(PGOutputError) {
        // A difference of two counts cannot overflow, a sum of an offset and a length from the wire could.
        guard byteCount - offset >= neededByteCount else {
            throw .truncated(offset: offset, neededByteCount: neededByteCount)
        }
    }

    /// Loads an integer that `require` has found to be there.
    @unsafe @inline(__always)
    func unsafeLoad<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type, at offset: Int) -> Value {
        unsafe Value(bigEndian: unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: type))
    }

    /// One big-endian integer. Throws `truncated`.
    @inline(__always)
    func integer<Value: FixedWidthInteger & BitwiseCopyable>(
        _ type: Value.Type, _ offset: inout Int
    ) throws(PGOutputError) -> Value {
        try require(MemoryLayout<Value>.size, at: offset)
        let value = unsafe unsafeLoad(type, at: offset)
        offset += MemoryLayout<Value>.size
        return value
    }

    /// An Int32 that counts something. Throws `truncated`, and `negativeCount`.
    @inline(__always)
    func count(_ offset: inout Int) throws(PGOutputError) -> Int {
        let value = try integer(Int32.self, &offset)
        guard value >= 0 else { throw .negativeCount(value, offset: offset - MemoryLayout<Int32>.size) }
        return Int(value)
    }

    /// A flags byte without other bits than those of `known`. Throws `truncated`, `unknownFlags`.
    func flags(known: UInt8, _ offset: inout Int) throws(PGOutputError) -> UInt8 {
        let flags = try integer(UInt8.self, &offset)
        guard flags & ~known == 0 else { throw .unknownFlags(flags, offset: offset - 1) }
        return flags
    }

    /// A transaction's position, never 0/0. Throws `truncated`, `invalidLSN`.
    func validLSN(_ offset: inout Int) throws(PGOutputError) -> LSN {
        let lsn = try self.lsn(&offset)
        guard lsn.isValid else { throw .invalidLSN(offset: offset - MemoryLayout<UInt64>.size) }
        return lsn
    }

    /// A position that may be 0/0. Throws `truncated`.
    func lsn(_ offset: inout Int) throws(PGOutputError) -> LSN {
        LSN(try integer(UInt64.self, &offset))
    }

    /// Microseconds since 2000-01-01 UTC. Throws `truncated`.
    func timestamp(_ offset: inout Int) throws(PGOutputError) -> PostgresTimestamp {
        PostgresTimestamp(try integer(Int64.self, &offset))
    }

    /// Throws `truncated`.
    @inline(__always)
    func transactionID(_ offset: inout Int) throws(PGOutputError) -> TransactionID {
        TransactionID(try integer(UInt32.self, &offset))
    }

    /// The xid that leads a message inside a streamed block; nil, and nothing read, outside. Throws `truncated`.
    @inline(__always)
    func streamedXID(inStream: Bool, _ offset: inout Int) throws(PGOutputError) -> TransactionID? {
        inStream ? try transactionID(&offset) : nil
    }

    /// `byteCount` bytes as they are. Throws `truncated`.
    func bytes(_ byteCount: Int, _ offset: inout Int) throws(PGOutputError) -> ByteRange {
        try require(byteCount, at: offset)
        let range = ByteRange(start: offset, count: byteCount)
        offset += byteCount
        return range
    }

    /// A NUL-terminated string's bytes, without the NUL. Throws `unterminatedString`.
    func string(_ offset: inout Int) throws(PGOutputError) -> ByteRange {
        let start = offset
        var end = start
        while end < byteCount, unsafe unsafeLoad(UInt8.self, at: end) != 0 { end += 1 }
        guard end < byteCount else { throw .unterminatedString(offset: start) }
        offset = end + 1
        return ByteRange(start: start, count: end - start)
    }

    /// A NUL-terminated name. Throws `unterminatedString`, `invalidUTF8`.
    func name(_ offset: inout Int) throws(PGOutputError) -> String {
        let range = try string(&offset)
        let name = unsafe extracting(range.start..<range.end).withUnsafeBytes { unsafe String(validating: $0, as: UTF8.self) }
        guard let name else { throw .invalidUTF8(offset: range.start) }
        return name
    }

    /// A schema's name, which the wire shortens to the empty string for `pg_catalog`. Throws as `name` does.
    func namespace(_ offset: inout Int) throws(PGOutputError) -> String {
        let name = try name(&offset)
        return name.isEmpty ? "pg_catalog" : name
    }
}
