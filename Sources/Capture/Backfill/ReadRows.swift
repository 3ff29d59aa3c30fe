import PGOutput

/// Rows of one table as a SELECT gave them, one behind the other in memory.
public struct ReadRows: Sendable {
    /// Where a row stood in its table.
    public struct TupleID: Comparable, Hashable, Sendable {
        public var block: UInt32
        public var offset: UInt16

        public init(block: UInt32, offset: UInt16) {
            self.block = block
            self.offset = offset
        }

        /// Reads `(12,3)`.
        public init?(_ text: some StringProtocol) {
            let parts = text.dropFirst().dropLast().split(separator: ",", omittingEmptySubsequences: false)
            guard text.first == "(", text.last == ")", parts.count == 2, let block = UInt32(parts[0]), let offset = UInt16(parts[1]) else { return nil }
            self.init(block: block, offset: offset)
        }

        public static func < (lhs: TupleID, rhs: TupleID) -> Bool { (lhs.block, lhs.offset) < (rhs.block, rhs.offset) }
    }

    public let columnCount: Int
    public private(set) var ids: [TupleID] = []
    private var bytes: [UInt8] = []
    /// Of all rows, a row's behind another's; each value's place counts from its row's first byte.
    private var columns: [TupleColumn] = []
    /// Where each row begins in `bytes`.
    private var starts: [Int] = []

    public init(columnCount: Int) { self.columnCount = columnCount }

    public var count: Int { ids.count }

    /// What they take in memory, about.
    public var byteCount: Int { bytes.count + columns.count * 12 + ids.count * 16 }

    /// Begins a row; its values follow by `append(_:)`, as many as there are columns.
    public mutating func beginRow(_ id: TupleID) {
        ids.append(id)
        starts.append(bytes.count)
    }

    /// Adds the next value of the row that was begun last; nil is SQL NULL.
    public mutating func append(_ value: UnsafeRawBufferPointer?) {
        guard let value else { return columns.append(TupleColumn(kind: .null, start: 0, byteCount: 0)) }
        columns.append(TupleColumn(kind: .text, start: Int32(bytes.count - (starts.last ?? 0)), byteCount: Int32(value.count)))
        bytes.append(contentsOf: value)
    }

    /// Lends a row.
    func withRow<Result>(_ index: Int, _ body: (RowView) -> Result) -> Result {
        bytes.withUnsafeBytes { bytes in
            columns.withUnsafeBufferPointer { columns in
                let end = index + 1 < starts.count ? starts[index + 1] : bytes.count
                let values = UnsafeBufferPointer(rebasing: columns[index * columnCount..<(index + 1) * columnCount])
                return body(
                    RowView(
                        current: .new, message: UnsafeRawBufferPointer(rebasing: bytes[starts[index]..<end]), new: values, old: values, oldTuple: .none))
            }
        }
    }

    /// The key of a row, by these columns; nil where one is null.
    public func key(of index: Int, _ keyColumns: [Int]) -> RowKey? {
        var key = RowKey()
        let end = index + 1 < starts.count ? starts[index + 1] : bytes.count
        let isWhole = bytes.withUnsafeBytes { bytes in
            let row = UnsafeRawBufferPointer(rebasing: bytes[starts[index]..<end])
            return keyColumns.allSatisfy { place in
                let column = columns[index * columnCount + place]
                guard column.kind == .text else { return false }
                key.append(UnsafeRawBufferPointer(rebasing: row[Int(column.start)..<Int(column.start) + Int(column.byteCount)]))
                return true
            }
        }
        return isWhole ? key : nil
    }
}
