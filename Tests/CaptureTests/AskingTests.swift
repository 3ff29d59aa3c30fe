import Testing
import WAL
import WireMessages

@testable import Capture

/// A row with values that only the database can tell is asked about and given again; it becomes one event, the same as if all had been known.
@Suite struct AskingTests {
    private static let castOID: UInt32 = 20_000
    private static let pairOID: UInt32 = 20_001
    private static let tableID: UInt32 = 16_400

    private static let catalogue = Catalogue(
        types: [
            castOID: TypeRow(oid: castOID, name: "shape", kind: "b", jsonCast: .function),
            pairOID: TypeRow(
                oid: pairOID, name: "pair", kind: "c",
                attributes: [.init(name: "a", typeOID: 23), .init(name: "b", typeOID: castOID)]),
        ],
        casts: ["x": .json("[1]"), "y": .json("[2]"), "z": .json("[3]"), "bad": .failed])

    /// Four columns, `casts` of which are of the type with the cast; the others are text, `id` is the first.
    private static func columns(casts: Set<Int>) -> [WireMessage.Column] {
        ["id", "b", "c", "d"].enumerated().map {
            WireMessage.Column(name: $1, typeOID: casts.contains($0) ? castOID : 25, isKey: $0 == 0)
        }
    }

    private static func rig(_ columns: [WireMessage.Column], _ catalogue: Catalogue = catalogue) throws -> Rig {
        var rig = try Rig(catalogue: catalogue)
        try rig.receive(WireMessage.begin(0x100))
        try rig.receive(WireMessage.relation(tableID, identity: "f", columns: columns))
        #expect(rig.asked.count == 1 && rig.events.isEmpty)
        return rig
    }

    private static func requests(_ texts: String...) -> CatalogueQuestion {
        .casts(texts.map { CastRequest(typeOID: castOID, text: $0) })
    }

    @Test(arguments: [0, 1, 3])
    func asksForAValueWhereverItStandsInTheRow(column: Int) throws {
        var rig = try Self.rig(Self.columns(casts: [column]))
        try rig.receive(WireMessage.insert(["before", "b", "c", "d"].map { .text($0) }.replaced(at: column, "x")))
        #expect(rig.asked.last?.question == Self.requests("x"))
        // The event waits for its `last`.
        #expect(rig.events.isEmpty)
        try rig.receive(WireMessage.commit(0x100))
        #expect(rig.events.count == 1)
        let event = try #require(rig.events.first)
        let names = ["id", "b", "c", "d"]
        #expect(try event.value("entity", names[column]) == "[1]")
        for (index, name) in names.enumerated() where index != column {
            #expect(try event.value("entity", name) == JSONText.of(["before", "b", "c", "d"][index]))
        }
        #expect(event.header.position.ordinal == 1 && event.header.isLast)
        #expect(rig.actions == [.transactionBegan, .none, .none, .transactionEnded(endLSN: LSN(0x128))])
    }

    @Test func asksForAllOfARowAtOnceAndForEachValueOnce() throws {
        var rig = try Self.rig(Self.columns(casts: [1, 2, 3]))
        try rig.receive(WireMessage.insert([.text("1"), .text("x"), .text("y"), .text("x")]))
        #expect(rig.asked.dropFirst().map(\.question) == [Self.requests("x", "y")])
        // What was said of one row is not kept for the next.
        try rig.receive(WireMessage.insert([.text("2"), .text("x"), .null, .text("z")]))
        #expect(rig.asked.dropFirst(2).map(\.question) == [Self.requests("x", "z")])
        // The first event was complete when the second row came, before the question.
        #expect(rig.asked.last?.eventCount == 1)
        try rig.receive(WireMessage.commit(0x100))
        #expect(
            try rig.events.map { try $0.value("entity") } == [
                #"{"id":"1","b":[1],"c":[2],"d":[1]}"#, #"{"id":"2","b":[1],"c":null,"d":[3]}"#,
            ])
        #expect(rig.events.map(\.header.position.ordinal) == [1, 2])
        #expect(rig.events.map(\.header.isLast) == [false, true])
    }

    @Test func asksForOldAndNewValuesOfAnUpdate() throws {
        var rig = try Self.rig(Self.columns(casts: [1, 3]))
        try rig.receive(
            WireMessage.update(
                old: [.text("1"), .text("x"), .text("c"), .text("bad")],
                new: [.text("1"), .text("y"), .text("c"), .text("z")]))
        #expect(rig.asked.dropFirst().map(\.question) == [Self.requests("y", "z", "x", "bad")])
        try rig.receive(WireMessage.commit(0x100))
        let event = try #require(rig.events.first)
        #expect(rig.events.count == 1)
        #expect(try event.value("entity") == #"{"id":"1","b":[2],"c":"c","d":[3]}"#)
        #expect(try event.value("before") == #"{"id":"1","b":[1],"c":"c","d":"bad"}"#)
        #expect(try event.value("changes") == #"{"b":{"old":[1],"new":[2]},"d":{"old":"bad","new":[3]}}"#)
        // In `before` and in `changes`: each written once, though the row was encoded twice.
        #expect(rig.assembler.uncastValueCount == 2)
    }

    @Test func asksForTheOldRowOfADelete() throws {
        var rig = try Self.rig(Self.columns(casts: [0]))
        try rig.receive(WireMessage.delete(from: Self.tableID, key: [.text("x"), .null, .null, .null]))
        try rig.receive(WireMessage.commit(0x100))
        #expect(rig.asked.dropFirst().map(\.question) == [Self.requests("x")])
        #expect(rig.events.count == 1)
        #expect(try rig.events.first?.value("entity", "id") == "[1]")
    }

    @Test func asksBehindATruncate() throws {
        var rig = try Self.rig(Self.columns(casts: [1]))
        try rig.receive(WireMessage.truncate([Self.tableID]))
        try rig.receive(WireMessage.insert([.text("1"), .text("x"), .null, .null]))
        #expect(rig.asked.last?.question == Self.requests("x") && rig.asked.last?.eventCount == 1)
        try rig.receive(WireMessage.commit(0x100))
        #expect(rig.events.map(\.header.position.ordinal) == [1, 2])
        #expect(try rig.events.map { try $0.value("operation") } == [#""TRUNCATE""#, #""INSERT""#])
    }

    @Test func asksInPartsForARowOfManyValues() throws {
        let arrayOID: UInt32 = 20_002
        var catalogue = Self.catalogue
        catalogue.types[arrayOID] = TypeRow(oid: arrayOID, name: "shape[]", kind: "b", elementOID: Self.castOID)
        let texts = (0..<2 * CastMemory.requestLimit + 5).map { "v\($0)" }
        for text in texts { catalogue.casts[text] = .json("1") }
        var rig = try Self.rig([.init(name: "id"), .init(name: "many", typeOID: arrayOID)], catalogue)
        try rig.receive(WireMessage.insert([.text("1"), .text("{\(texts.joined(separator: ","))}")]))
        #expect(rig.asked.count == 1 + 3)
        try rig.receive(WireMessage.commit(0x100))
        #expect(rig.events.count == 1)
        #expect(try rig.events.first?.value("entity", "many") == "[" + texts.map { _ in "1" }.joined(separator: ",") + "]")
    }

    @Test func asksForTypesAndThenForWhatTheyNeed() throws {
        var behind = Self.catalogue
        behind.types[Self.pairOID]?.attributes.removeLast()
        var rig = try Self.rig([.init(name: "id"), .init(name: "p", typeOID: Self.pairOID), .init(name: "v", typeOID: Self.castOID)], behind)
        rig.catalogue = Self.catalogue
        try rig.receive(WireMessage.insert([.text("1"), .text("(1,x)"), .text("y")]))
        #expect(
            rig.asked.dropFirst().map(\.question) == [
                .types(of: RelationID(Self.tableID), [25, Self.pairOID, Self.castOID]), Self.requests("x", "y"),
            ])
        try rig.receive(WireMessage.commit(0x100))
        #expect(rig.events.count == 1)
        #expect(try rig.events.first?.value("entity") == #"{"id":"1","p":{"a":1,"b":[1]},"v":[2]}"#)
        #expect(rig.assembler.unknownTypeValueCount == 0)
    }

    @Test func asksNothingForAnExcludedTableNorForWhatIsStored() throws {
        var rig = try Rig(
            CaptureConfiguration(exclusions: ["public.tb_order"]), catalogue: Self.catalogue)
        try rig.receive(WireMessage.begin(0x100))
        try rig.receive(WireMessage.relation(columns: Self.columns(casts: [1])))
        try rig.receive(WireMessage.insert([.text("1"), .text("x"), .null, .null]))
        #expect(rig.asked.count == 1)
        var stored = try Rig(catalogue: Self.catalogue, watermark: Position(commitLSN: LSN(0x100), ordinal: 1))
        try stored.receive(WireMessage.begin(0x100))
        try stored.receive(WireMessage.relation(columns: Self.columns(casts: [1])))
        try stored.receive(WireMessage.insert([.text("1"), .text("x"), .null, .null]))
        #expect(stored.asked.count == 1)
    }

    @Test func aRowThatIsPoisonWhateverTheAnswersIsNotAskedAbout() throws {
        var rig = try Self.rig([.init(name: "id"), .init(name: "v", typeOID: Self.castOID), .init(name: "t")])
        try rig.receive(WireMessage.insert([.text("1"), .text("x"), .bytes([0xFF])]))
        #expect(rig.asked.count == 1)
        // Nor is anything left for the next row.
        try rig.receive(WireMessage.insert([.text("2"), .text("y"), .null]))
        #expect(rig.asked.dropFirst().map(\.question) == [Self.requests("y")])
        try rig.receive(WireMessage.commit(0x100))
        #expect(rig.events.count == 2)
        #expect(rig.assembler.poison.count == 1)
    }
}

extension [WireMessage.Cell] {
    fileprivate func replaced(at index: Int, _ text: String) -> Self {
        var cells = self
        cells[index] = .text(text)
        return cells
    }
}

extension JSONText {
    fileprivate static func of(_ text: String) -> String { String(decoding: string(text), as: UTF8.self) }
}
