import Testing
import WAL
import WireMessages

@testable import Capture

@Suite struct EntityIDTests {
    private static let columns: [WireMessage.Column] = [
        .init(name: "b", isKey: true), .init(name: "id"), .init(name: "a", isKey: true), .init(name: "é"),
    ]

    private static func entityID(
        identity: Unicode.Scalar = "d", chosen: [String]? = nil, optional: [String]? = nil, primaryKey: [String] = [],
        identityIndex: [String] = [], columns: [WireMessage.Column] = columns,
        cells: [WireMessage.Cell] = [.text("B"), .text("I"), .text("A"), .text("E")]
    ) throws -> String? {
        var configuration = CaptureConfiguration()
        if let chosen { configuration.identities["public.tb_order"] = chosen }
        if let optional { configuration.optionalIdentities["public.tb_order"] = optional }
        let outcome = try Outcome(
            of: [
                WireMessage.begin(100), WireMessage.relation(identity: identity, columns: columns),
                WireMessage.insert(cells), WireMessage.commit(100),
            ], configuration,
            catalogue: Catalogue(
                tables: [.init(16_400): TableFacts(primaryKey: primaryKey, identityIndex: identityIndex)]))
        return try #require(outcome.events.first).value("entity_id")
    }

    private static var withoutID: [WireMessage.Column] {
        var columns = columns
        columns[1].name = "x"
        return columns
    }

    @Test func takesTheConfiguredColumnsFirst() throws {
        #expect(try Self.entityID(chosen: ["a"]) == #""A""#)
        #expect(try Self.entityID(chosen: ["a", "b"]) == #""B,A""#)
        #expect(try Self.entityID(chosen: ["é"]) == #""E""#)
        // One that the table has not: no other is guessed, and the other spelling of é is another name.
        #expect(try Self.entityID(chosen: ["gone"]) == nil)
        #expect(try Self.entityID(chosen: ["e\u{301}"]) == nil)
    }

    @Test func takesColumnsThatMayBeAbsentWhereTheyAreThere() throws {
        #expect(try Self.entityID(chosen: [], optional: ["was", "a"]) == #""A""#)
        #expect(try Self.entityID(chosen: ["a"], optional: ["was", "b"]) == #""B,A""#)
        #expect(try Self.entityID(chosen: ["gone"], optional: ["a"]) == nil)
        // None of them is there: no other is guessed.
        #expect(try Self.entityID(identity: "f", optional: ["was"], primaryKey: ["a"]) == nil)
    }

    @Test func takesTheColumnIDNext() throws {
        #expect(try Self.entityID(identity: "d", primaryKey: ["a"]) == #""I""#)
        #expect(try Self.entityID(identity: "f", primaryKey: ["a"]) == #""I""#)
    }

    @Test func takesThePrimaryKeyNextAndTheIndexLast() throws {
        #expect(try Self.entityID(identity: "f", primaryKey: ["a"], columns: Self.withoutID) == #""A""#)
        #expect(try Self.entityID(identity: "i", primaryKey: ["é", "a"], columns: Self.withoutID) == #""A,E""#)
        #expect(try Self.entityID(identity: "i", columns: Self.withoutID) == #""B,A""#)
        #expect(try Self.entityID(identity: "d", columns: Self.withoutID) == #""B,A""#)
        #expect(try Self.entityID(identity: "f", columns: Self.withoutID) == nil)
        #expect(try Self.entityID(identity: "n", columns: Self.withoutID) == nil)
    }

    @Test func joinsSeveralReversibly() throws {
        let cells: [WireMessage.Cell] = [.text("a,b%2C"), .null, .text(""), .text("\"\n")]
        #expect(try Self.entityID(chosen: ["a", "b"], cells: cells) == #""a%2Cb%252C,""#)
        #expect(try Self.entityID(chosen: ["b"], cells: cells) == #""a,b%2C""#)
        #expect(try Self.entityID(chosen: ["é"], cells: cells) == #""\"\n""#)
        #expect(try Self.entityID(chosen: ["a"], cells: cells) == #""""#)
    }

    @Test func isAbsentWhereAPartIsNotKnown() throws {
        #expect(try Self.entityID(cells: [.text("B"), .null, .text("A"), .null]) == nil)
        #expect(try Self.entityID(cells: [.text("B"), .unchanged, .text("A"), .null]) == nil)
        #expect(try Self.entityID(chosen: ["a", "id"], cells: [.text("B"), .null, .text("A"), .null]) == nil)
    }

    @Test func takesNoPartOfAKey() throws {
        // A publication of INSERTs alone may leave out columns of the key.
        #expect(try Self.entityID(identity: "d", primaryKey: ["b", "a", "left out"], columns: Self.withoutID) == nil)
        #expect(try Self.entityID(identity: "i", identityIndex: ["b", "a", "left out"], columns: Self.withoutID) == nil)
        #expect(try Self.entityID(identity: "i", identityIndex: ["b", "a"], columns: Self.withoutID) == #""B,A""#)
        // A key that was altered since: the row's own flags are right.
        #expect(try Self.entityID(identity: "d", primaryKey: ["é"], columns: Self.withoutID) == #""B,A""#)
    }

    @Test func asksForFactsAnewWithEachRelation() throws {
        var rig = try Rig(catalogue: Catalogue(tables: [.init(16_400): TableFacts(primaryKey: ["a"])]))
        for count in 1...2 {
            try rig.receive(WireMessage.relation(identity: "f", columns: Self.withoutID))
            guard case .description(of: _, needsFacts: true) = rig.asked.last?.question else {
                Issue.record("facts were not asked for")
                return
            }
            #expect(rig.asked.count == count)
        }
    }
}
