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
}
