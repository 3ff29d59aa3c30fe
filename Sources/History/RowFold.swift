package import Capture
import WAL

/// A table put together again from its events, as digests of its rows' values, and compared with the table's own rows. Pure.
///
/// Its memory is bounded: where it would be more, it goes on with half of the keys, and says which half is left for another pass.
package struct RowFold {
    /// The keys of a pass, by their digests' lowest bits.
    package struct Part: Hashable, Sendable {
        package var bitCount = 0
        package var bits: UInt64 = 0

        package init() {}

        func holds(_ digest: UInt64) -> Bool { digest & ((1 << UInt64(bitCount)) - 1) == bits }
    }

    /// How its rows are told apart and compared.
    package struct Shape: Sendable {
        /// The columns that are compared, in the order of their digests.
        package let columns: [[UInt8]]
        /// Those that make the key, in its order.
        package let key: [[UInt8]]
        fileprivate let indices: [[UInt8]: Int]

        package init(columns: [[UInt8]], key: [[UInt8]]) {
            self.columns = columns
            self.key = key
            indices = Dictionary(uniqueKeysWithValues: zip(columns, 0...))
        }

        /// The key's values as JSON, one after the other; nil if one is not known.
        package func key(of row: [ReadRow.Column]) -> [UInt8]? {
            var text: [UInt8] = []
            for name in key {
                guard let column = row.first(where: { $0.name == name }) else { return nil }
                if !text.isEmpty { text.append(UInt8(ascii: ",")) }
                text += column.json
            }
            return text
        }

        /// A digest of each column's value; 0: it is not known.
        package func digests(of row: [ReadRow.Column]) -> [UInt64] {
            var digests = [UInt64](repeating: 0, count: columns.count)
            for column in row {
                if let index = indices[column.name] { digests[index] = RowFold.digest(column.json) }
            }
            return digests
        }
    }

    /// An event that cannot be folded: it does not tell which row it is of.
    package struct UnknownKey: Error, Equatable {
        package var sequence: UInt64
        package var position: Position

        package init(sequence: UInt64, position: Position) {
            self.sequence = sequence
            self.position = position
        }
    }

    /// What the table's row is to the stream's.
    package enum Match: Hashable {
        case equal
        /// All is equal that the stream knows; of some columns it knows nothing.
        case equalAsFarAsKnown
        /// These columns differ, by their indices; the row's last event is at this sequence.
        case altered([Int], sequence: UInt64, Position)
        /// The stream has no such row.
        case absent
        /// The stream has the row only as it was behind the snapshot.
        case later
        /// It is for another pass.
        case elsewhere
    }

    private struct Row {
        var digests: [UInt64]
        var order: StreamOrder
        var sequence: UInt64
        /// It was deleted: kept only where an earlier event of it may come late.
        var isDeleted = false
        var isSeen = false
    }

    private let shape: Shape
    private let byteLimit: Int
    private let keepsDeleted: Bool
    private(set) package var part: Part
    /// What is left for other passes.
    private(set) package var left: [Part] = []
    private var rows: [[UInt8]: Row] = [:]
    /// Keys that changes touched which the snapshot does not show; whether a row that a backfill read was left out for it.
    private var later: [[UInt8]: Bool] = [:]
    /// A change that the snapshot does not show may have touched any key.
    private var isAllLater = false
    private var byteCount = 0
    private var truncatedAt: StreamOrder?
    /// Where it was told that all rows follow, and none has come yet.
    private var emptiedByNextRow: StreamOrder?

    /// - Parameters:
    ///   - byteLimit: Of its rows, about.
    ///   - mayBeLate: An event may come after later ones of the same row.
    package init(_ shape: Shape, part: Part = Part(), byteLimit: Int, mayBeLate: Bool) {
        self.shape = shape
        self.part = part
        self.byteLimit = byteLimit
        keepsDeleted = mayBeLate
    }

    /// Whether the table was emptied by an event, or read whole: everything in it is from later.
    package var wasTruncated: Bool { truncatedAt != nil }

    // MARK: - Folding

    /// Takes the next event of the table that the snapshot shows.
    package mutating func take(_ event: ReadRow, sequence: UInt64) throws(UnknownKey) {
        switch event.operation {
        case "INSERT", "UPDATE":
            // Withheld: what the row is from here on is not known.
            guard let row = event.row else { return }
            guard let key = shape.key(of: row) else { throw UnknownKey(sequence: sequence, position: event.position) }
            var digests = shape.digests(of: row)
            let oldKey = event.operation == "UPDATE" ? shape.key(of: event.old) ?? key : key
            if event.operation == "UPDATE", let old = rows[oldKey], old.order < event.order, !old.isDeleted {
                // What was not sent is as it was.
                for index in digests.indices where digests[index] == 0 { digests[index] = old.digests[index] }
            }
            if oldKey != key { remove(oldKey, at: event.order, sequence) }
            put(key, Row(digests: digests, order: event.order, sequence: sequence))
        case "DELETE":
            guard let row = event.row else { return }
            guard let key = shape.key(of: row) else { throw UnknownKey(sequence: sequence, position: event.position) }
            remove(key, at: event.order, sequence)
        case "TRUNCATE": empty(at: event.order)
        default: break
        }
        halveWhileTooLarge()
    }

    /// Takes the next event of the table that the snapshot does not show: only which row it is of is of use.
    package mutating func leaveOut(_ event: ReadRow) {
        guard let row = event.row, let key = shape.key(of: row) else {
            isAllLater = true
            return
        }
        for key in [key, shape.key(of: event.old) ?? key] { touchedLater(key, isLeftOut: false) }
        halveWhileTooLarge()
    }

    /// Takes the next row of a backfill: it is so, whatever was known of it.
    ///
    /// It is stored behind all that it shows, and behind no change of the row that it does not show. So behind a change that is left out it is left out too: a transaction that
    /// waits for a standby may become visible between the two snapshots, and no WAL is written then that an LSN would tell.
    /// - Parameter isLater: Its snapshot was taken behind the one that is compared.
    /// - Returns: Whether it was folded.
    package mutating func takeRow(_ event: ReadRow, sequence: UInt64, isLater: Bool) throws(UnknownKey) -> Bool {
        guard let row = event.row else { return false }
        guard let key = shape.key(of: row) else { throw UnknownKey(sequence: sequence, position: event.position) }
        defer { halveWhileTooLarge() }
        guard !isLater, !isAllLater, later[key] == nil else {
            touchedLater(key, isLeftOut: true)
            return false
        }
        if let order = emptiedByNextRow {
            empty(at: order)
            emptiedByNextRow = nil
        }
        put(key, Row(digests: shape.digests(of: row), order: event.order, sequence: sequence))
        return true
    }

    /// All rows follow, as those of a backfill: what was known of them is of no use any more.
    package mutating func allFollow(at order: StreamOrder) {
        // Those that follow are perhaps left out: the first one that is not tells.
        guard !isAllLater, later.isEmpty else { return }
        emptiedByNextRow = order
    }

    private mutating func touchedLater(_ key: [UInt8], isLeftOut: Bool) {
        guard part.holds(Self.digest(key)) else { return }
        if later[key] == nil { byteCount += size(ofLater: key) }
        later[key] = isLeftOut || later[key] ?? false
    }

    private mutating func empty(at order: StreamOrder) {
        truncatedAt = max(truncatedAt ?? order, order)
        for (key, row) in rows where row.order < order { drop(key) }
    }

    private mutating func put(_ key: [UInt8], _ row: Row) {
        guard part.holds(Self.digest(key)), truncatedAt.map({ $0 < row.order }) ?? true else { return }
        if let old = rows[key] {
            guard old.order < row.order else { return }
        } else {
            byteCount += size(of: key)
        }
        rows[key] = row
    }

    private mutating func remove(_ key: [UInt8], at order: StreamOrder, _ sequence: UInt64) {
        if keepsDeleted {
            put(key, Row(digests: [UInt64](repeating: 0, count: shape.columns.count), order: order, sequence: sequence, isDeleted: true))
        } else if let old = rows[key], old.order < order {
            drop(key)
        }
    }

    private mutating func drop(_ key: [UInt8]) {
        rows[key] = nil
        byteCount -= size(of: key)
    }

    /// What a row takes, with what a dictionary and two arrays have around it.
    private func size(of key: [UInt8]) -> Int { 208 + key.count + 8 * shape.columns.count }

    private func size(ofLater key: [UInt8]) -> Int { 96 + key.count }

    private mutating func halveWhileTooLarge() {
        while byteCount > byteLimit, part.bitCount < 40 { halve() }
    }

    /// Leaves half of the keys to another pass.
    private mutating func halve() {
        var other = part
        other.bits |= 1 << UInt64(part.bitCount)
        other.bitCount += 1
        part.bitCount += 1
        left.append(other)
        let part = part
        for key in rows.keys where !part.holds(Self.digest(key)) { drop(key) }
        for key in later.keys where !part.holds(Self.digest(key)) {
            later[key] = nil
            byteCount -= size(ofLater: key)
        }
    }

    // MARK: - Comparing

    /// Compares a row of the table, which is asked for once.
    package mutating func compare(_ key: [UInt8], _ digests: [UInt64]) -> Match {
        guard part.holds(Self.digest(key)) else { return .elsewhere }
        guard let row = rows[key], !row.isDeleted else { return later[key] == true ? .later : .absent }
        rows[key]?.isSeen = true
        var altered: [Int] = []
        var isKnown = true
        for index in digests.indices {
            // What the event does not have came to the table later, or was not sent.
            if row.digests[index] == 0 { isKnown = false } else if row.digests[index] != digests[index] { altered.append(index) }
        }
        if !altered.isEmpty { return .altered(altered, sequence: row.sequence, row.order.position) }
        return isKnown ? .equal : .equalAsFarAsKnown
    }

    /// The rows of the stream that the table does not have, by their keys, once all of the table was compared.
    package var unseen: [(key: [UInt8], sequence: UInt64, position: Position)] {
        rows.filter { !$0.value.isSeen && !$0.value.isDeleted }.map { ($0.key, $0.value.sequence, $0.value.order.position) }
            .sorted { $0.sequence < $1.sequence }
    }

    /// Never 0; another in each process.
    package static func digest(_ bytes: [UInt8]) -> UInt64 {
        var hasher = Hasher()
        unsafe bytes.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
        return max(1, UInt64(bitPattern: Int64(hasher.finalize())))
    }
}
