import Capture
import SeededRandom
import WAL

@testable import History

/// One table of PostgreSQL, in memory: rows in blocks, transactions that commit in one order and are shown in another, and WAL that a crash takes the end of.
struct ModelTable {
    struct Row: Hashable {
        var small: Int
        /// Out of line: an UPDATE that leaves it as it is does not send it.
        var large: Int
    }

    struct Change {
        /// nil: the row is gone.
        var key: Int?
        /// Where it had another key, or is gone.
        var oldKey: Int?
        var row: Row
        var isLargeSent: Bool
    }

    struct Version {
        var key: Int
        var row: Row
        var place: ReadRows.TupleID
        var madeBy: Int
        var endedBy: Int?
    }

    enum Fate {
        case running
        /// It holds its locks until it is shown: a standby has not answered, or nobody has come to it.
        case committed
        case shown
        /// Rolled back, or lost with the end of the WAL.
        case gone
    }

    struct Transaction {
        var id: UInt64
        var fate = Fate.running
        var changes: [Change] = []
        var commitLSN: LSN?
    }

    /// Of a commit record.
    static let recordByteCount: UInt64 = 16
    private static let keyCount = 12
    private static let rowsPerBlock: UInt16 = 3

    private(set) var transactions: [Transaction] = []
    private(set) var versions: [Version] = []
    /// Of those, the ones that somebody sees, or will.
    private var alive: [Int] = []
    /// In the order of their commits.
    private(set) var commits: [Int] = []
    /// All rows, where so many have committed.
    private(set) var states: [[Int: Row]] = [[:]]
    private(set) var blockCount: UInt32 = 0
    private var nextOffsets: [UInt32: UInt16] = [:]
    private var nextID: UInt64
    private var lastValue = 0
    private(set) var insertLSN = LSN(0x1000)
    private(set) var flushLSN = LSN(0x1000)
    /// In a hundred turns: how often a transaction that can be shown is.
    private let showWeight: Int

    init(_ random: inout SplitMix64) {
        // Ids of 32 bits end now and then.
        nextID = Bool.random(using: &random) ? 100 : (3 << 32) - UInt64.random(in: 1...20, using: &random)
        showWeight = random.one(of: [3, 20, 100]) ?? 20
        begin()
        for _ in 0..<3 + random.number(below: Self.keyCount - 2) { change(0, isInsert: true, &random) }
        commit(0)
        transactions[0].fate = .shown
        flushLSN = insertLSN
    }

    var isQuiet: Bool { transactions.allSatisfy { $0.fate == .shown || $0.fate == .gone } && flushLSN == insertLSN }

    /// Something happens.
    mutating func turn(mayBegin: Bool, _ random: inout SplitMix64) {
        switch random.number(below: 10) {
        case 0: if mayBegin, indices(of: .running).count < 4 { begin() }
        case 1...4:
            if let index = random.one(of: indices(of: .running)) { change(index, isInsert: random.number(below: 5) == 0, &random) }
        case 5, 6:
            guard let index = random.one(of: indices(of: .running)) else { break }
            if transactions[index].changes.isEmpty || random.number(below: 8) == 0 {
                transactions[index].fate = .gone
            } else {
                commit(index)
                // One that does not wait for the WAL is shown at once.
                if random.number(below: 3) == 0 { transactions[index].fate = .shown }
            }
        case 7: flushLSN = insertLSN
        default:
            guard random.number(below: 100) < showWeight || !mayBegin else { break }
            let flushed = indices(of: .committed).filter { index in transactions[index].commitLSN.map { isFlushed($0) } ?? false }
            if let index = random.one(of: flushed) { transactions[index].fate = .shown }
        }
    }

    /// What was not flushed never was; ids are given once more.
    mutating func crash() {
        for index in transactions.indices {
            switch transactions[index].fate {
            case .gone: break
            case .running: transactions[index].fate = .gone
            case .committed, .shown: transactions[index].fate = transactions[index].commitLSN.map { isFlushed($0) } ?? false ? .shown : .gone
            }
        }
        commits.removeAll { transactions[$0].fate == .gone }
        states.removeLast(states.count - commits.count - 1)
        nextID = (transactions.filter { $0.fate == .shown }.map(\.id).max() ?? 0) + 1
        insertLSN = flushLSN
        // What was ended by one that never was is there again.
        alive = Array(versions.indices)
    }

    func isFlushed(_ commitLSN: LSN) -> Bool { commitLSN.rawValue + Self.recordByteCount <= flushLSN.rawValue }

    // MARK: - What a reader sees

    /// Where the next record goes is part of it.
    func snapshot() -> TransactionSnapshot {
        let ended = transactions.filter { $0.fate == .shown || $0.fate == .gone }.map(\.id).filter { $0 < nextID }
        let xmax = (ended.max() ?? 0) + 1
        let running = Set(transactions.filter { ($0.fate == .running || $0.fate == .committed) && $0.id < xmax }.map(\.id)).sorted()
        let text = "\(running.first ?? xmax):\(xmax):\(running.map(String.init).joined(separator: ","))"
        guard let snapshot = TransactionSnapshot(text, lsn: insertLSN) else { preconditionFailure("no snapshot: \(text)") }
        return snapshot
    }

    /// Versions that are shown now, as they lie there.
    func shown() -> [Int] {
        alive.filter { index in
            let version = versions[index]
            return transactions[version.madeBy].fate == .shown && version.endedBy.map { transactions[$0].fate != .shown } ?? true
        }.sorted { versions[$0].place < versions[$1].place }
    }

    /// Those that hold the table's lock.
    var holders: Set<Int> { Set((indices(of: .running) + indices(of: .committed)).filter { !transactions[$0].changes.isEmpty }) }

    // MARK: - Writers

    private func indices(of fate: Fate) -> [Int] {
        var found: [Int] = []
        for index in transactions.indices where transactions[index].fate == fate { found.append(index) }
        return found
    }

    private mutating func begin() {
        transactions.append(Transaction(id: nextID))
        nextID += 1
    }

    private mutating func commit(_ index: Int) {
        transactions[index].fate = .committed
        transactions[index].commitLSN = insertLSN
        insertLSN = LSN(insertLSN.rawValue + Self.recordByteCount)
        commits.append(index)
        var state = states[states.count - 1]
        for change in transactions[index].changes {
            if let old = change.oldKey { state[old] = nil }
            if let key = change.key { state[key] = change.row }
        }
        states.append(state)
    }

    /// A row that another one has touched is locked until that one is shown.
    private func isFree(_ version: Version, for index: Int) -> Bool {
        guard version.madeBy == index || transactions[version.madeBy].fate == .shown else { return false }
        return version.endedBy.map { transactions[$0].fate == .gone } ?? true
    }

    /// Keys that a transaction can give to a row.
    private func freeKeys(for index: Int) -> [Int] {
        var isTaken = Array(repeating: false, count: Self.keyCount)
        for version in alive.lazy.map({ versions[$0] }) where !isTaken[version.key] {
            isTaken[version.key] = version.endedBy.map { $0 != index && transactions[$0].fate != .shown } ?? true
        }
        return isTaken.indices.filter { !isTaken[$0] }
    }

    /// What nobody sees any more is passed over from now on.
    private mutating func forgetDead() {
        alive.removeAll { index in
            let version = versions[index]
            return transactions[version.madeBy].fate == .gone || version.endedBy.map { transactions[$0].fate == .shown } ?? false
        }
    }

    private mutating func change(_ index: Int, isInsert: Bool, _ random: inout SplitMix64) {
        forgetDead()
        let free = freeKeys(for: index)
        lastValue += 1
        if isInsert {
            guard let key = random.one(of: free) else { return }
            add(Change(key: key, row: Row(small: lastValue, large: lastValue), isLargeSent: true), by: index, &random)
            return
        }
        guard let found = random.one(of: alive.filter({ isFree(versions[$0], for: index) })) else { return }
        let version = versions[found]
        versions[found].endedBy = index
        var row = Row(small: lastValue, large: version.row.large)
        switch random.number(below: 10) {
        case 0: transactions[index].changes.append(Change(oldKey: version.key, row: version.row, isLargeSent: false))
        case 1...3:
            row.large = lastValue
            add(Change(key: version.key, row: row, isLargeSent: true), by: index, &random)
        case 4, 5:
            let key = random.one(of: free) ?? version.key
            add(Change(key: key, oldKey: key == version.key ? nil : version.key, row: row, isLargeSent: false), by: index, &random)
        default: add(Change(key: version.key, row: row, isLargeSent: false), by: index, &random)
        }
    }

    /// A new version, wherever there is room.
    private mutating func add(_ change: Change, by index: Int, _ random: inout SplitMix64) {
        transactions[index].changes.append(change)
        guard let key = change.key else { return }
        var block = UInt32(random.number(below: Int(blockCount) + 1))
        if index == 0 { block = nextOffsets[max(blockCount, 1) - 1, default: 0] < Self.rowsPerBlock ? max(blockCount, 1) - 1 : blockCount }
        blockCount = max(blockCount, block + 1)
        nextOffsets[block, default: 0] += 1
        alive.append(versions.count)
        versions.append(
            Version(key: key, row: change.row, place: ReadRows.TupleID(block: block, offset: nextOffsets[block, default: 1]), madeBy: index))
    }
}

extension SplitMix64 {
    /// Without generics, which cost much where nothing is optimised; even enough.
    mutating func number(below limit: Int) -> Int { Int(truncatingIfNeeded: next() % UInt64(limit)) }

    mutating func one<Element>(of elements: [Element]) -> Element? { elements.isEmpty ? nil : elements[number(below: elements.count)] }
}
