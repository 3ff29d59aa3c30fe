import PGOutput
import Testing
import WAL
import WireMessages

@testable import Capture

/// What is told to whoever reads a table beside the stream: for each row of it, by its key, and whether its event has all of it.
@Suite struct RowWitnessTests {
    private final class Witness: RowWitness {
        var columns: [RelationID: [String]]
        var changes: [RowChange] = []
        var truncations: [Position] = []

        init(_ columns: [RelationID: [String]]) { self.columns = columns }

        func keyColumns(of relation: RelationID) -> [String]? { columns[relation] }
        func changed(_ change: RowChange) { changes.append(change) }
        func truncated(_ relation: RelationID, by transactionID: TransactionID, at position: Position) { truncations.append(position) }
    }

    private static let table = RelationID(16_400)
    private static let columns: [WireMessage.Column] = [.init(name: "a", isKey: true), .init(name: "b", isKey: true), .init(name: "big")]
    private static let full = columns.map { WireMessage.Column(name: $0.name, isKey: true) }

    private static func witness(
        _ messages: [[UInt8]], identity: Unicode.Scalar = "d", columns: [WireMessage.Column] = columns, key: [String]? = ["a", "b"],
        _ configuration: CaptureConfiguration = CaptureConfiguration(), watermark: Position? = nil, payloadLimit: Int = 1_048_576
    ) throws -> Witness {
        let witness = Witness(key.map { [table: $0] } ?? [:])
        var rig = try Rig(configuration, payloadLimit: payloadLimit, watermark: watermark)
        rig.assembler.witness = witness
        try rig.receive([WireMessage.begin(0x100), WireMessage.relation(identity: identity, columns: columns)] + messages + [WireMessage.commit(0x100)])
        return witness
    }

    /// `key old?` and what is said of it: `1,x was 1,y whole`.
    private static func text(_ change: RowChange) -> String {
        func text(_ key: RowKey?) -> String { key?.texts?.joined(separator: ",") ?? "-" }
        return text(change.key) + (change.oldKey == nil ? "" : " was \(text(change.oldKey))") + (change.isWhole ? " whole" : "")
            + (change.isKeyUnknown ? " unknown" : "")
    }

    private static func texts(_ messages: [[UInt8]], identity: Unicode.Scalar = "d", columns: [WireMessage.Column] = columns, key: [String]? = ["a", "b"]) throws
        -> [String]
    {
        try witness(messages, identity: identity, columns: columns, key: key).changes.map(text)
    }

    @Test func everyChangeOfARowIsToldInOrder() throws {
        let witness = try Self.witness([
            WireMessage.insert([.text("1"), .text("x"), .text("big")]), WireMessage.update(new: [.text("1"), .text("x"), .null]),
            WireMessage.delete(key: [.text("1"), .text("x"), .null]), WireMessage.truncate([16_400]),
            WireMessage.insert([.text(""), .text("y"), .text("")]),
        ])
        #expect(witness.changes.map(Self.text) == ["1,x whole", "1,x whole", "- was 1,x whole", ",y whole"])
        #expect(witness.changes.map(\.position.ordinal) == [1, 2, 3, 5] && witness.truncations == [Position(commitLSN: LSN(0x100), ordinal: 4)])
        #expect(witness.changes.allSatisfy { $0.relation == Self.table && $0.transactionID == TransactionID(735) && $0.position.commitLSN == LSN(0x100) })
    }

    @Test func nobodyIsToldOfATableThatNobodyWatches() throws {
        let witness = try Self.witness([WireMessage.insert([.text("1"), .text("x"), .null]), WireMessage.truncate([16_400])], key: nil)
        #expect(witness.changes.isEmpty && witness.truncations.isEmpty)
    }

    @Test func anotherKeyIsToldWithTheOneBefore() throws {
        #expect(
            try Self.texts([
                WireMessage.update(key: [.text("1"), .text("x"), .null], new: [.text("1"), .text("y"), .text("big")]),
                WireMessage.update(key: [.text("1"), .text("y"), .null], new: [.text("2"), .text("y"), .unchanged]),
                // The old key is sent, and is the same: a column of FULL, or of an index, was touched.
                WireMessage.update(key: [.text("2"), .text("y"), .null], new: [.text("2"), .text("y"), .text("b")]),
            ]) == ["1,y was 1,x whole", "2,y was 1,y", "2,y whole"])
    }

    /// With FULL what was not sent anew is the old row's.
    @Test func anEventLacksAColumnThatWasNotSentUnlessTheOldRowHasIt() throws {
        #expect(
            try Self.texts([
                WireMessage.update(new: [.text("1"), .text("x"), .unchanged]),
                // A filter that the row comes into makes an INSERT of the UPDATE.
                WireMessage.insert([.text("1"), .text("x"), .unchanged]),
            ]) == ["1,x", "1,x"])
        #expect(
            try Self.texts(
                [
                    WireMessage.update(old: [.text("1"), .text("x"), .text("big")], new: [.text("1"), .text("x"), .unchanged]),
                    WireMessage.update(old: [.text("1"), .text("x"), .null], new: [.text("1"), .text("y"), .unchanged]),
                    WireMessage.update(old: [.text("1"), .text("y"), .unchanged], new: [.text("1"), .text("y"), .unchanged]),
                ], identity: "f", columns: Self.full) == ["1,x whole", "1,y was 1,x whole", "1,y"])
    }

    /// A key out of line that stays is not sent again: its old row has it.
    @Test func aKeyThatWasNotSentAnewIsTheOldRows() throws {
        #expect(
            try Self.texts([
                WireMessage.update(key: [.text("1"), .text("long"), .null], new: [.text("2"), .unchanged, .text("big")]),
                WireMessage.update(new: [.text("1"), .unchanged, .text("big")]),
            ]) == ["2,long was 1,long whole", "- unknown"])
    }

    /// Neither masks nor exclusions hide a key from whoever reads the table.
    @Test func whatEventsDoNotShowIsToldAllTheSame() throws {
        let configuration = CaptureConfiguration(
            excludedColumns: ["public.tb_order": ["b", "big"]], masks: ["public.tb_order": ["a": .text("***")]])
        let witness = try Self.witness(
            [
                WireMessage.insert([.text("1"), .text("x"), .text("big")]), WireMessage.update(new: [.text("1"), .text("x"), .unchanged]),
                WireMessage.delete(key: [.text("1"), .text("x"), .null]),
            ], configuration)
        // Of a column that is written nowhere an event lacks nothing.
        #expect(witness.changes.map(Self.text) == ["1,x whole", "1,x whole", "- was 1,x whole"])
    }

    /// What is stored already is decoded again: it tells who has touched a row. Whether it is stored with all its data only its size can tell.
    @Test func whatIsStoredIsToldToo() throws {
        let large = String(repeating: "x", count: 1_000)
        let witness = try Self.witness(
            [
                WireMessage.insert([.text("1"), .text("x"), .text("small")]), WireMessage.insert([.text("2"), .text("x"), .text(large)]),
                WireMessage.update(new: [.text("2"), .text("x"), .unchanged]), WireMessage.truncate([16_400]),
                WireMessage.insert([.text("3"), .text("x"), .text(large)]),
            ], watermark: Position(commitLSN: LSN(0x100), ordinal: 4), payloadLimit: 4_000)
        #expect(witness.changes.map(Self.text) == ["1,x whole", "2,x", "2,x", "3,x whole"])
        // A table that was emptied then may be half read by now.
        #expect(witness.truncations.isEmpty)
    }

    @Test(arguments: [CaptureConfiguration.PoisonPolicy.quarantine, .reference])
    func whatIsNotStoredWithItsDataIsNotWhole(_ policy: CaptureConfiguration.PoisonPolicy) throws {
        let witness = try Self.witness(
            [
                WireMessage.insert([.text("1"), .text("x"), .bytes([0xFF])]), WireMessage.insert([.text("2"), .text("x"), .text("fine")]),
                WireMessage.update(new: [.text("3"), .text("x"), .text(String(repeating: "x", count: 5_000))]),
            ], CaptureConfiguration(poisonPolicy: policy), payloadLimit: 2_000)
        #expect(witness.changes.map(Self.text) == ["1,x", "2,x whole", "3,x"])
    }

    @Test func rowsWithoutAKeyAreToldAsSuch() throws {
        let witness = try Self.witness([WireMessage.insert([.text("1"), .null, .unchanged])], identity: "n", key: [])
        #expect(witness.changes.map(Self.text) == ["-"] && witness.changes[0].oldKey == nil)
    }

    @Test func aKeyThatIsNotThereIsNotKnown() throws {
        // The table has no such column, or not any more; NULL is no key.
        #expect(try Self.texts([WireMessage.insert([.text("1"), .text("x"), .null])], key: ["a", "gone"]) == ["- whole unknown"])
        #expect(try Self.texts([WireMessage.insert([.text("1"), .null, .text("b")])]) == ["- whole unknown"])
        #expect(try Self.texts([WireMessage.delete(key: [.text("1"), .null, .null])]) == ["- whole unknown"])
    }

    /// A name is asked for each time; a table that was altered has its columns elsewhere.
    @Test func theKeysColumnsAreFoundByName() throws {
        let witness = Witness([Self.table: ["b"]])
        var rig = try Rig()
        rig.assembler.witness = witness
        try rig.receive([WireMessage.begin(0x100), WireMessage.relation(columns: Self.columns), WireMessage.insert([.text("1"), .text("x"), .null])])
        witness.columns[Self.table] = ["a"]
        try rig.receive(WireMessage.insert([.text("2"), .text("y"), .null]))
        try rig.receive([
            WireMessage.relation(columns: Self.columns.reversed()), WireMessage.insert([.null, .text("z"), .text("3")]), WireMessage.commit(0x100),
        ])
        #expect(witness.changes.map(Self.text) == ["x whole", "2 whole", "3 whole"])
    }

    /// A row that is asked about is given again, and told once.
    @Test func aRowIsToldOnceHoweverOftenItIsGiven() throws {
        let witness = Witness([Self.table: ["a"]])
        var rig = try Rig(
            catalogue: Catalogue(
                types: [20_000: TypeRow(oid: 20_000, name: "shape", kind: "b", jsonCast: .function)], casts: ["x": .json("[1]")]))
        rig.assembler.witness = witness
        try rig.receive([
            WireMessage.begin(0x100), WireMessage.relation(columns: [.init(name: "a", isKey: true), .init(name: "b", typeOID: 20_000)]),
            WireMessage.insert([.text("1"), .text("x")]), WireMessage.commit(0x100),
        ])
        #expect(rig.asked.count == 2 && witness.changes.map(Self.text) == ["1 whole"] && witness.changes[0].position.ordinal == 1)
    }
}
