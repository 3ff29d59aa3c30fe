/// Why bytes are not a pgoutput message. Offsets count from the message's first byte, the tag.
///
/// No case carries row data. None can be mended by reading the same bytes again.
public enum PGOutputError: Error, Hashable, Sendable {
    /// What is read at `offset` needs at least `neededByteCount` bytes, more than are left.
    case truncated(offset: Int, neededByteCount: Int)

    /// The string that begins at `offset` has no terminating NUL.
    case unterminatedString(offset: Int)

    /// The first byte is the tag of no message of protocol versions 1 to 4.
    case unknownMessage(tag: UInt8)

    /// A known message at a place where the protocol has none: Stream Stop without Stream Start, a transaction's begin
    /// or end inside a streamed block.
    case misplacedMessage(tag: UInt8)

    /// A byte that selects what follows (kind of tuple, kind of column, replica identity) has no known meaning.
    case unknownTag(UInt8, offset: Int)

    /// A flags byte with a bit that has no known meaning. PostgreSQL's unused flags are 0 in every version.
    case unknownFlags(UInt8, offset: Int)

    /// A length or a count below zero.
    case negativeCount(Int32, offset: Int)

    /// A relation's, column's or type's name is not UTF-8: the client encoding is not, or the database is SQL_ASCII.
    case invalidUTF8(offset: Int)

    /// 0/0 where a transaction's position stands.
    case invalidLSN(offset: Int)

    /// The message ends at `offset`, but bytes follow.
    case trailingBytes(offset: Int)

    /// More than `Int32.max` bytes: no message of PostgreSQL's.
    case oversized(byteCount: Int)
}

extension PGOutputError: CustomStringConvertible {
    /// One line for an operator: what stands where.
    public var description: String {
        switch self {
        case .truncated(let offset, let needed):
            "the message ends too early: \(needed) more bytes are needed at offset \(offset)"
        case .unterminatedString(let offset): "the string at offset \(offset) has no end"
        case .unknownMessage(let tag): "unknown message \(Self.quoted(tag))"
        case .misplacedMessage(let tag): "message \(Self.quoted(tag)) is not allowed at this place of the stream"
        case .unknownTag(let tag, let offset): "unknown tag \(Self.quoted(tag)) at offset \(offset)"
        case .unknownFlags(let flags, let offset): "unknown flags \(Self.hexadecimal(flags)) at offset \(offset)"
        case .negativeCount(let count, let offset): "negative length or count \(count) at offset \(offset)"
        case .invalidUTF8(let offset): "the name at offset \(offset) is not UTF-8"
        case .invalidLSN(let offset): "the LSN at offset \(offset) is 0/0"
        case .trailingBytes(let offset): "the message ends at offset \(offset), but more bytes follow"
        case .oversized(let byteCount): "a message of \(byteCount) bytes is longer than PostgreSQL can send"
        }
    }

    private static func quoted(_ byte: UInt8) -> String {
        // Printable ASCII only: the text goes to logs and terminals.
        (0x21...0x7E).contains(byte) ? "'\(Character(Unicode.Scalar(byte)))'" : hexadecimal(byte)
    }

    private static func hexadecimal(_ byte: UInt8) -> String {
        (byte < 16 ? "0x0" : "0x") + String(byte, radix: 16)
    }
}
