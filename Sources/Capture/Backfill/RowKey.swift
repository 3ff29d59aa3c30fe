/// A row's key: the texts of its columns, as PostgreSQL writes them, one behind the other.
///
/// By text and not by value: PostgreSQL logs the old key wherever the bytes of the new one differ.
public struct RowKey: Hashable, Sendable {
    /// Each text with its length before it.
    public private(set) var bytes: [UInt8] = []

    public init() {}

    /// A key that was written as `bytes`.
    public init(bytes: [UInt8]) { self.bytes = bytes }

    /// Adds the next column's text.
    public mutating func append(_ text: UnsafeRawBufferPointer) {
        let count = UInt32(text.count)
        for shift in stride(from: UInt32(24), through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: count >> shift)) }
        bytes.append(contentsOf: text)
    }

    /// Its columns' texts; nil: the bytes are no key's.
    public var texts: [String]? {
        var texts: [String] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            guard rest.count >= 4 else { return nil }
            let count = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(4)
            guard rest.count >= count else { return nil }
            texts.append(String(decoding: rest.prefix(count), as: UTF8.self))
            rest = rest.dropFirst(count)
        }
        return texts
    }
}
