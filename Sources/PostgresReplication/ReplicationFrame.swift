public import WAL

/// The head of one CopyData message from a walsender.
///
/// Shapes, big-endian: XLogData `w`, walStart, walEnd, sendTime (8 bytes each), payload. Keepalive `k`, walEnd, sendTime
/// (8 bytes each), reply requested (1 byte).
/// Source: PostgreSQL, "Streaming Replication Protocol", START_REPLICATION.
@usableFromInline
enum ReplicationFrame {
    /// The payload begins at `xlogDataHeadByteCount`.
    case xlogData(walStart: LSN, walEnd: LSN, sendTime: PostgresTimestamp)
    case keepalive(walEnd: LSN, sendTime: PostgresTimestamp, replyRequested: Bool)

    /// `w` and three 8-byte integers.
    @usableFromInline static let xlogDataHeadByteCount = 25
    private static let keepaliveByteCount = 18

    /// - Throws: `PostgresError.protocolViolation` for an unknown first byte or a wrong length.
    @usableFromInline
    init(_ bytes: UnsafeRawBufferPointer) throws(PostgresError) {
        func integer(_ offset: Int) -> UInt64 {
            UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        func time(_ offset: Int) -> PostgresTimestamp { PostgresTimestamp(Int64(bitPattern: integer(offset))) }

        switch bytes.first {
        case UInt8(ascii: "w"):
            guard bytes.count >= Self.xlogDataHeadByteCount else { break }
            self = .xlogData(walStart: LSN(integer(1)), walEnd: LSN(integer(9)), sendTime: time(17))
            return
        case UInt8(ascii: "k"):
            guard bytes.count == Self.keepaliveByteCount else { break }
            self = .keepalive(walEnd: LSN(integer(1)), sendTime: time(9), replyRequested: bytes[17] != 0)
            return
        default:
            break
        }
        throw .protocolViolation(
            message:
                "a walsender frame of \(bytes.count) bytes begins with byte \(bytes.first.map { String($0) } ?? "none")"
        )
    }
}
