/// PostgreSQL's 32-bit transaction id (`xid`). Ids wrap around: they identify, they do not order.
@frozen
public struct TransactionID: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt32

    @inlinable
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    @inlinable
    public init(_ rawValue: UInt32) { self.rawValue = rawValue }

    /// 0, PostgreSQL's `InvalidTransactionId`: the xid of what belongs to no transaction.
    @inlinable
    public static var none: TransactionID { TransactionID(0) }

    public var description: String { String(rawValue) }
}
