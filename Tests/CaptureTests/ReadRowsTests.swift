import PGOutput
import Testing
import WAL

@testable import Capture

/// Rows of a SELECT, kept one behind the other.
@Suite struct ReadRowsTests {
    static func rows(_ rows: [[String?]], columnCount: Int) -> ReadRows {
        var read = ReadRows(columnCount: columnCount)
        for (index, row) in rows.enumerated() {
            read.beginRow(ReadRows.TupleID(block: UInt32(index), offset: 1))
            for value in row {
                guard let value else {
                    read.append(nil)
                    continue
                }
                Array(value.utf8).withUnsafeBytes { read.append($0) }
            }
        }
        return read
    }

    private static let rows = rows([["1", "", nil], ["22", nil, "ä"], [nil, "x", ""], ["4", "", ""]], columnCount: 3)

    private static func values(of index: Int) -> [String?] {
        let plan = RelationPlan(
            Relation(
                id: RelationID(1), namespace: "public", name: "t", replicaIdentity: .default,
                columns: ["a", "b", "c"].map { RelationColumn(isKey: $0 == "a", name: $0, typeOID: 25, typeModifier: -1) }),
            configuration: CaptureConfiguration(), database: "d", types: TypeCatalogue(), facts: TableFacts(), isRefused: false)
        return rows.withRow(index) { row in
            (0..<3).map { column in
                switch row.value(of: column, in: plan) {
                case .text(let text): String(decoding: text, as: UTF8.self)
                case .null: nil
                case .absent: "absent"
                }
            }
        }
    }

    @Test func everyRowIsReadBack() {
        #expect(Self.rows.count == 4 && Self.rows.ids.map(\.block) == [0, 1, 2, 3])
        #expect((0..<4).map(Self.values) == [["1", "", nil], ["22", nil, "ä"], [nil, "x", ""], ["4", "", ""]])
        #expect(Self.rows.withRow(1) { $0.byteCount } == 4 && Self.rows.withRow(3) { $0.byteCount } == 1)
        #expect(!Self.rows.withRow(0) { $0.hasOld })
    }

    /// A value from without is copied, and what is empty may have no address.
    @Test func anEmptyTextIsNoNull() {
        var rows = ReadRows(columnCount: 1)
        rows.beginRow(ReadRows.TupleID(block: 0, offset: 1))
        rows.append(UnsafeRawBufferPointer(start: nil, count: 0))
        #expect(rows.key(of: 0, [0])?.texts == [""])
    }

    @Test func aKeyIsOfItsColumnsInTheirOrder() {
        #expect(Self.rows.key(of: 0, [0])?.texts == ["1"] && Self.rows.key(of: 1, [2, 0])?.texts == ["ä", "22"])
        #expect(Self.rows.key(of: 3, [0, 1, 2])?.texts == ["4", "", ""])
        #expect(Self.rows.key(of: 0, [0, 2]) == nil && Self.rows.key(of: 2, [0]) == nil)
    }

    @Test func rowsWithoutColumnsAreRows() {
        let rows = Self.rows([[], []], columnCount: 0)
        #expect(rows.count == 2 && rows.withRow(1) { $0.byteCount } == 0 && rows.key(of: 1, []) == RowKey())
    }

    @Test func readsWhereARowLies() {
        #expect(ReadRows.TupleID("(12,3)") == ReadRows.TupleID(block: 12, offset: 3))
        #expect(ReadRows.TupleID("(4294967295,65535)") == ReadRows.TupleID(block: .max, offset: .max))
        for text in ["", "()", "(1)", "(1,)", "(,1)", "(1,2,3)", "1,2", "(1,65536)", "(4294967296,1)", "(-1,1)", "[1,2]"] {
            #expect(ReadRows.TupleID(text) == nil, "\(text)")
        }
        #expect(ReadRows.TupleID(block: 1, offset: 9) < ReadRows.TupleID(block: 2, offset: 1))
        #expect(ReadRows.TupleID(block: 1, offset: 8) < ReadRows.TupleID(block: 1, offset: 9))
    }
}

@Suite struct RowKeyTests {
    private static func key(_ texts: [String]) -> RowKey {
        var key = RowKey()
        for text in texts { Array(text.utf8).withUnsafeBytes { key.append($0) } }
        return key
    }

    @Test(arguments: [[], [""], ["", ""], ["a"], ["a", "b"], ["ab", ""], ["", "ab"], ["\u{0}\u{0}\u{0}\u{1}a"], [String(repeating: "ä", count: 40_000), "1"]])
    func readsBackItsTexts(_ texts: [String]) {
        let key = Self.key(texts)
        #expect(key.texts == texts && RowKey(bytes: key.bytes) == key)
    }

    @Test func keysWhoseTextsRunTogetherAreNotOne() {
        let keys = [["a", "bc"], ["ab", "c"], ["abc"], ["abc", ""], ["", "abc"]].map(Self.key)
        #expect(Set(keys).count == keys.count)
    }

    @Test func bytesThatAreNoKeysAreRefused() {
        let bytes = Self.key(["ab", "c"]).bytes
        // A cut at the end of a text is another key.
        for count in 1..<bytes.count where count != 6 { #expect(RowKey(bytes: Array(bytes[..<count])).texts == nil, "\(count)") }
        #expect(RowKey(bytes: [255, 255, 255, 255, 1]).texts == nil)
    }
}
