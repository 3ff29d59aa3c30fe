import Capture
import History
import SeededRandom
import Testing
import WAL

@Suite struct RowFoldTests {
    private static let shape = RowFold.Shape(columns: ["id", "v", "w"].map { Array($0.utf8) }, key: [Array("id".utf8)])

    private static func columns(_ values: [(String, String)]) -> [ReadRow.Column] {
        values.map { ReadRow.Column(name: Array($0.0.utf8), json: Array($0.1.utf8)) }
    }

    private static func event(
        _ operation: String, _ number: UInt64, _ row: [(String, String)]?, old: [(String, String)] = []
    ) -> ReadRow {
        ReadRow(
            schema: "public", table: "t", operation: operation, position: Position(commitLSN: LSN(16 * number), ordinal: 1),
            transactionID: TransactionID(UInt32(number)), row: row.map(columns), old: columns(old))
    }

    /// What these events, one after the other, make of the table with these rows.
    private static func matches(
        _ events: [ReadRow], _ rows: [[(String, String)]], mayBeLate: Bool = false
    ) throws -> (matches: [RowFold.Match], unseen: [String]) {
        var fold = RowFold(shape, byteLimit: .max, mayBeLate: mayBeLate)
        for (index, event) in events.enumerated() { try fold.take(event, sequence: UInt64(index) + 1) }
        let matches = try rows.map { row in
            let row = columns(row)
            return fold.compare(try #require(shape.key(of: row)), shape.digests(of: row))
        }
        return (matches, fold.unseen.map { String(decoding: $0.key, as: UTF8.self) })
    }

    private static func row(_ id: Int, _ v: String = "1", _ w: String = "\"x\"") -> [(String, String)] {
        [("id", "\(id)"), ("v", v), ("w", w)]
    }

    @Test func rowsAreWhatTheirLastEventsSay() throws {
        let found = try Self.matches(
            [
                Self.event("INSERT", 1, Self.row(1)), Self.event("INSERT", 2, Self.row(2)), Self.event("INSERT", 3, Self.row(3)),
                Self.event("UPDATE", 4, Self.row(2, "5")), Self.event("DELETE", 5, [("id", "3")]),
                Self.event("INSERT", 6, Self.row(4)),
            ], [Self.row(1), Self.row(2, "5"), Self.row(4, "1", "\"y\""), Self.row(5)])
        #expect(found.matches[0] == .equal && found.matches[1] == .equal && found.matches[3] == .absent)
        #expect(found.matches[2] == .altered([2], sequence: 6, Position(commitLSN: LSN(96), ordinal: 1)))
        #expect(found.unseen.isEmpty)
        #expect(try Self.matches([Self.event("INSERT", 1, Self.row(1))], []).unseen == ["1"])
    }

    @Test func whatWasNotSentIsAsItWas() throws {
        let update = Self.event("UPDATE", 2, [("id", "1"), ("v", "2")])
        let found = try Self.matches([Self.event("INSERT", 1, Self.row(1)), update], [Self.row(1, "2")])
        #expect(found.matches == [.equal])
        let altered = try Self.matches([Self.event("INSERT", 1, Self.row(1)), update], [Self.row(1, "2", "\"z\"")])
        guard case .altered([2], sequence: 2, _)? = altered.matches.first else {
            Issue.record("\(altered.matches)")
            return
        }
        // Of a row that is older than the stream not each column is known.
        #expect(try Self.matches([update], [Self.row(1, "2", "\"z\"")]).matches == [.equalAsFarAsKnown])
    }

    @Test func aKeyThatChangedTakesTheRowWithIt() throws {
        let moved = Self.event("UPDATE", 2, [("id", "7"), ("v", "1")], old: [("id", "1")])
        let found = try Self.matches([Self.event("INSERT", 1, Self.row(1)), moved], [Self.row(7)])
        #expect(found.matches == [.equal] && found.unseen.isEmpty)
        // With FULL the old row is always there.
        let same = Self.event("UPDATE", 2, Self.row(1, "3"), old: Self.row(1))
        #expect(try Self.matches([Self.event("INSERT", 1, Self.row(1)), same], [Self.row(1, "3")]).matches == [.equal])
    }

    @Test func aTruncateEmptiesTheTable() throws {
        var fold = RowFold(Self.shape, byteLimit: .max, mayBeLate: false)
        try fold.take(Self.event("INSERT", 1, Self.row(1)), sequence: 1)
        #expect(!fold.wasTruncated)
        try fold.take(Self.event("TRUNCATE", 2, nil), sequence: 2)
        try fold.take(Self.event("INSERT", 3, Self.row(2)), sequence: 3)
        #expect(fold.wasTruncated && fold.unseen.map(\.sequence) == [3])
    }

    /// `mend` stores what a stream lacked behind what came after it.
    @Test func aLateEventDoesNotUndoWhatCameAfterIt() throws {
        let late = Self.event("INSERT", 1, Self.row(1))
        let found = try Self.matches(
            [Self.event("UPDATE", 2, Self.row(1, "9")), late], [Self.row(1, "9")], mayBeLate: true)
        #expect(found.matches == [.equal])
        let deleted = try Self.matches([Self.event("DELETE", 2, [("id", "1")]), late], [], mayBeLate: true)
        #expect(deleted.unseen.isEmpty)
        let emptied = try Self.matches([Self.event("TRUNCATE", 2, nil), late], [], mayBeLate: true)
        #expect(emptied.unseen.isEmpty)
    }

    @Test func anEventThatDoesNotSayOfWhichRowIsNamed() {
        var fold = RowFold(Self.shape, byteLimit: .max, mayBeLate: false)
        #expect(throws: RowFold.UnknownKey(sequence: 8, position: Position(commitLSN: LSN(16), ordinal: 1))) {
            try fold.take(Self.event("DELETE", 1, [("v", "1")]), sequence: 8)
        }
    }

    /// Whatever the memory, each key is compared in exactly one pass, and the differences are the same.
    @Test(arguments: [1_000_000, 20_000, 5_000, 1_500])
    func passesFindTogetherWhatOneFinds(byteLimit: Int) throws {
        var random = SplitMix64(seed: 19)
        let count = 400
        var events: [ReadRow] = []
        for number in 1...3 * count {
            let id = Int(random.next() % UInt64(count))
            events.append(
                random.next() % 5 == 0
                    ? Self.event("DELETE", UInt64(number), [("id", "\(id)")])
                    : Self.event("UPDATE", UInt64(number), Self.row(id, "\(number)")))
        }
        var truth: [Int: [(String, String)]] = [:]
        for event in events {
            let id = try #require(event.row?.first.flatMap { Int(String(decoding: $0.json, as: UTF8.self)) })
            truth[id] = event.operation == "DELETE" ? nil : event.row?.map { (String(decoding: $0.name, as: UTF8.self), String(decoding: $0.json, as: UTF8.self)) }
        }
        let alteredID = try #require(truth.keys.min()), droppedID = try #require(truth.keys.max())
        truth[alteredID] = Self.row(alteredID, "\"changed\"")
        truth[droppedID] = nil
        truth[count + 1] = Self.row(count + 1)

        var parts = [RowFold.Part()]
        var passes = 0
        var found: [RowFold.Match: Int] = [:]
        var unseen: [String] = []
        while let part = parts.popLast() {
            passes += 1
            var fold = RowFold(Self.shape, part: part, byteLimit: byteLimit, mayBeLate: false)
            for (index, event) in events.enumerated() { try fold.take(event, sequence: UInt64(index) + 1) }
            for (_, row) in truth {
                let row = Self.columns(row)
                found[fold.compare(try #require(Self.shape.key(of: row)), Self.shape.digests(of: row)), default: 0] += 1
            }
            unseen += fold.unseen.map { String(decoding: $0.key, as: UTF8.self) }
            parts += fold.left
        }
        #expect((passes == 1) == (byteLimit == 1_000_000))
        #expect(found[.equal] == truth.count - 2 && found[.absent] == 1)
        #expect(found.keys.filter { if case .altered([1], _, _) = $0 { true } else { false } }.count == 1)
        #expect(unseen == ["\(droppedID)"])
        #expect(found[.elsewhere, default: 0] == (passes - 1) * truth.count)
    }

    // MARK: - Rows of backfills

    /// A row that run 1 read and that is stored behind the event of that number; `count` is its number in the run.
    private static func read(_ number: UInt64, _ count: UInt64, _ row: [(String, String)], operation: String = "READ") -> ReadRow {
        ReadRow(
            schema: "public", table: "t", operation: operation, position: Position(commitLSN: LSN(16 * number), ordinal: 1),
            transactionID: nil, row: columns(row),
            backfill: ReadRow.Backfill(place: BackfillPlace(run: 1, count: count), lsn: LSN(16 * number + 8)))
    }

    private enum Step {
        case event(ReadRow), leftOut(ReadRow), row(ReadRow), laterRow(ReadRow)
        case allFollow(UInt64, UInt64)
    }

    private static func fold(_ steps: [Step], mayBeLate: Bool = false) throws -> RowFold {
        var fold = RowFold(shape, byteLimit: .max, mayBeLate: mayBeLate)
        for (index, step) in steps.enumerated() {
            let sequence = UInt64(index) + 1
            switch step {
            case .event(let event): try fold.take(event, sequence: sequence)
            case .leftOut(let event): fold.leaveOut(event)
            case .row(let row): _ = try fold.takeRow(row, sequence: sequence, isLater: false)
            case .laterRow(let row): _ = try fold.takeRow(row, sequence: sequence, isLater: true)
            case .allFollow(let number, let count):
                fold.allFollow(at: StreamOrder(Position(commitLSN: LSN(16 * number), ordinal: 1), run: 1, count: count))
            }
        }
        return fold
    }

    private static func match(_ steps: [Step], _ row: [(String, String)], mayBeLate: Bool = false) throws -> RowFold.Match {
        var fold = try fold(steps, mayBeLate: mayBeLate)
        let columns = columns(row)
        return fold.compare(try #require(shape.key(of: columns)), shape.digests(of: columns))
    }

    /// Where the row stands behind the event of the same position, as most do.
    @Test(arguments: ["READ", "INSERT"])
    func aRowOfABackfillIsTheRowFromThereOn(_ operation: String) throws {
        let before = Step.event(Self.event("UPDATE", 1, [("id", "1"), ("v", "2")]))
        let row = Step.row(Self.read(1, 1, Self.row(1, "5"), operation: operation))
        #expect(try Self.match([before], Self.row(1, "2")) == .equalAsFarAsKnown)
        #expect(try Self.match([before, row], Self.row(1, "5")) == .equal)
        #expect(try Self.match([row], Self.row(1, "5")) == .equal)
        // A later one of the same position wins, whichever is taken first; what was stored twice is one.
        let again = Step.row(Self.read(1, 2, Self.row(1, "6"), operation: operation))
        for steps in [[row, again, again], [again, row]] { #expect(try Self.match(steps, Self.row(1, "6")) == .equal) }
        // What an event of later does not say is as the row had it.
        let after = Step.event(Self.event("UPDATE", 2, [("id", "1"), ("v", "7")]))
        #expect(try Self.match([before, row, after], Self.row(1, "7")) == .equal)
        let deleted = Step.event(Self.event("DELETE", 2, [("id", "1")]))
        #expect(try Self.match([row, deleted], Self.row(1, "5")) == .absent)
        #expect(try Self.fold([row]).unseen.map(\.sequence) == [1])
    }

    @Test func aLateEventDoesNotUndoARowThatWasReadBehindIt() throws {
        let late = Step.event(Self.event("UPDATE", 1, Self.row(1, "2")))
        let row = Step.row(Self.read(2, 1, Self.row(1, "5")))
        #expect(try Self.match([row, late], Self.row(1, "5"), mayBeLate: true) == .equal)
        #expect(try Self.match([row, .event(Self.event("DELETE", 1, [("id", "1")]))], Self.row(1, "5"), mayBeLate: true) == .equal)
        #expect(try Self.match([row, .event(Self.event("TRUNCATE", 1, nil))], Self.row(1, "5"), mayBeLate: true) == .equal)
        // One that belongs behind the row does.
        #expect(try Self.match([row, .event(Self.event("UPDATE", 3, Self.row(1, "7")))], Self.row(1, "7"), mayBeLate: true) == .equal)
    }

    /// It shows what the change did, or would not be stored: the snapshot that is compared does not.
    @Test func aRowBehindAChangeThatIsLeftOutIsLeftOutToo() throws {
        let known = Step.event(Self.event("INSERT", 1, Self.row(1, "1")))
        let change = Step.leftOut(Self.event("UPDATE", 2, Self.row(1, "2")))
        let row = Step.row(Self.read(2, 1, Self.row(1, "2")))
        #expect(try Self.match([known, change, row], Self.row(1, "1")) == .equal)
        // Of another row nothing is left out.
        #expect(try Self.match([change, row, .row(Self.read(2, 2, Self.row(2)))], Self.row(2)) == .equal)
        // What is known of the row is known from behind the snapshot only; without it nothing is.
        #expect(try Self.match([change, row], Self.row(1, "1")) == .later)
        #expect(try Self.match([change], Self.row(1, "1")) == .absent)
        #expect(try Self.fold([change, row]).unseen.isEmpty)
        // Both keys of a change are its own; one that does not tell its row may be of any.
        let moved = Step.leftOut(Self.event("UPDATE", 2, Self.row(3), old: [("id", "1")]))
        #expect(try Self.match([moved, row], Self.row(1, "1")) == .later)
        for withheld in [Self.event("TRUNCATE", 2, nil), Self.event("UPDATE", 2, nil), Self.event("DELETE", 2, [("v", "1")])] {
            #expect(try Self.match([.leftOut(withheld), row], Self.row(1, "2")) == .later)
        }
        // The row stands before the change: the snapshot shows it.
        #expect(try Self.match([.row(Self.read(1, 1, Self.row(1, "1"))), change], Self.row(1, "1")) == .equal)
    }

    @Test func aRowOfALaterSnapshotIsLeftOut() throws {
        let later = Step.laterRow(Self.read(5, 1, Self.row(1, "9")))
        #expect(try Self.match([later], Self.row(1, "1")) == .later)
        #expect(try Self.match([.event(Self.event("INSERT", 1, Self.row(1))), later], Self.row(1)) == .equal)
        #expect(try Self.fold([later]).unseen.isEmpty)
    }

    @Test func aTableThatFollowsWholeIsEmptiedByItsFirstRow() throws {
        let old = Step.event(Self.event("INSERT", 1, Self.row(1)))
        var fold = try Self.fold([old, .allFollow(2, 1), .row(Self.read(2, 2, Self.row(2)))])
        #expect(fold.unseen.map(\.sequence) == [3] && fold.wasTruncated)
        // Where its rows are left out, what was known before is all that is known.
        fold = try Self.fold([old, .allFollow(2, 1), .laterRow(Self.read(2, 2, Self.row(2)))])
        #expect(fold.unseen.map(\.sequence) == [1] && !fold.wasTruncated)
        fold = try Self.fold([old, .leftOut(Self.event("DELETE", 2, [("id", "1")])), .allFollow(2, 1), .row(Self.read(2, 2, Self.row(2)))])
        #expect(fold.unseen.map(\.sequence) == [1, 4] && !fold.wasTruncated)
    }

    @Test func aRowWithoutItsKeyIsNamed() {
        var fold = RowFold(Self.shape, byteLimit: .max, mayBeLate: false)
        #expect(throws: RowFold.UnknownKey(sequence: 8, position: Position(commitLSN: LSN(16), ordinal: 1))) {
            try fold.takeRow(Self.read(1, 1, [("v", "1")]), sequence: 8, isLater: false)
        }
    }

    /// A table that is read while transactions come, folded in any number of passes: rows that only the backfill has, and rows that changed under it.
    @Test(arguments: [1_000_000, 20_000, 5_000])
    func rowsAndEventsTogetherMakeTheTable(byteLimit: Int) throws {
        var random = SplitMix64(seed: 22)
        let count = 300
        var table: [Int: String] = [:]
        for id in 0..<count { table[id] = "\"old \(id)\"" }
        var steps: [Step] = []
        var next = 0
        for number in 1...UInt64(2 * count) {
            let id = Int(random.next() % UInt64(count + 20))
            if table[id] != nil, random.next() % 4 == 0 {
                table[id] = nil
                steps.append(.event(Self.event("DELETE", number, [("id", "\(id)")])))
            } else {
                // What is not sent of an old row is not known.
                let isWhole = table[id] == nil
                table[id] = "\(number)"
                steps.append(.event(Self.event(isWhole ? "INSERT" : "UPDATE", number, isWhole ? Self.row(id, "\(number)") : [("id", "\(id)"), ("v", "\(number)")])))
            }
            // The walk reads a row now and then, as it is.
            if number % 2 == 0, next < count {
                if let value = table[next] { steps.append(.row(Self.read(number, number, Self.row(next, value)))) }
                next += 1
            }
        }
        #expect(next == count)
        var parts = [RowFold.Part()]
        var passes = 0
        var compared = 0
        while let part = parts.popLast() {
            passes += 1
            var fold = RowFold(Self.shape, part: part, byteLimit: byteLimit, mayBeLate: false)
            for (index, step) in steps.enumerated() {
                switch step {
                case .event(let event): try fold.take(event, sequence: UInt64(index))
                case .row(let row): #expect(try fold.takeRow(row, sequence: UInt64(index), isLater: false))
                case .leftOut, .laterRow, .allFollow: break
                }
            }
            for (id, value) in table {
                let row = Self.columns(Self.row(id, value))
                let match = fold.compare(try #require(Self.shape.key(of: row)), Self.shape.digests(of: row))
                if match != .elsewhere {
                    compared += 1
                    #expect(match == .equal, "\(id)")
                }
            }
            #expect(fold.unseen.isEmpty)
            parts += fold.left
        }
        #expect(compared == table.count && (passes == 1) == (byteLimit == 1_000_000))
    }

    /// What is left out takes memory too.
    @Test func keysOfWhatIsLeftOutAreBoundedAsWell() {
        var fold = RowFold(Self.shape, byteLimit: 20_000, mayBeLate: false)
        for number in 1...1_000 { fold.leaveOut(Self.event("UPDATE", UInt64(number), Self.row(number))) }
        #expect(fold.left.count > 1)
    }
}
