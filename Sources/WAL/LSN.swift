/// A position in PostgreSQL's write-ahead log: a byte offset since the cluster was initialised.
///
/// Printed as PostgreSQL prints `pg_lsn`: two hexadecimal halves without leading zeros, `16/B374D848`.
@frozen
public struct LSN: RawRepresentable, Hashable, Comparable, Sendable {
    public let rawValue: UInt64

    @inlinable
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    @inlinable
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// `0/0`, PostgreSQL's `InvalidXLogRecPtr`: no position.
    @inlinable
    public static var invalid: LSN { LSN(0) }

    @inlinable
    public var isValid: Bool { rawValue != 0 }

    @inlinable
    public static func < (lhs: LSN, rhs: LSN) -> Bool { lhs.rawValue < rhs.rawValue }

    /// The number of bytes of WAL from `start` to this position; 0 if `start` lies after it.
    @inlinable
    public func byteCount(since start: LSN) -> UInt64 {
        rawValue > start.rawValue ? rawValue - start.rawValue : 0
    }
}

extension LSN: LosslessStringConvertible, CustomStringConvertible {
    /// Reads PostgreSQL's text form, `X/X` with up to eight hexadecimal digits in each half; nil for anything else.
    public init?(_ text: String) {
        let halves = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard halves.count == 2,
            let high = Self.hexadecimal(halves[0]),
            let low = Self.hexadecimal(halves[1])
        else { return nil }
        self.init(UInt64(high) << 32 | UInt64(low))
    }

    public var description: String {
        String(rawValue >> 32, radix: 16, uppercase: true) + "/"
            + String(rawValue & 0xFFFF_FFFF, radix: 16, uppercase: true)
    }

    private static func hexadecimal(_ digits: Substring.UTF8View) -> UInt32? {
        // `UInt32(_:radix:)` would take a leading sign.
        guard (1...8).contains(digits.count), digits.first != UInt8(ascii: "+"), digits.first != UInt8(ascii: "-")
        else { return nil }
        return UInt32(Substring(digits), radix: 16)
    }
}
