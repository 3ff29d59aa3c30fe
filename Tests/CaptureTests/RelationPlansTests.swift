import PGOutput
import Testing
import WAL
import WireMessages

@testable import Capture

/// Plans of dropped tables go, and no other.
@Suite struct RelationPlansTests {
    private static func described(_ ids: ClosedRange<UInt32>, in rig: inout Rig) throws {
        for id in ids {
            try rig.receive(WireMessage.relation(id, name: "tb_\(id)", columns: [.init(name: "id", typeOID: 23, isKey: true)]))
        }
    }

    @Test func aPlanGoesWhenAllThatCameBeforeItsEndIsDecoded() throws {
        var rig = try Rig()
        try Self.described(20_000...20_031, in: &rig)
        #expect(Set(rig.assembler.relationsDueForReview).count == 32)
        rig.assembler.reviewed(gone: [RelationID(20_001), RelationID(20_002)], asOf: LSN(5000))
        #expect(rig.assembler.relationsDueForReview.isEmpty)
        // Written before the table was dropped, decoded now.
        try rig.receive([WireMessage.begin(5000), WireMessage.insert(into: 20_001, [.text("1")]), WireMessage.commit(5000)])
        // Made anew with the same OID.
        try Self.described(20_002...20_002, in: &rig)
        try rig.receive([WireMessage.begin(6000), WireMessage.insert(into: 20_002, [.text("2")]), WireMessage.commit(6000)])
        #expect(rig.events.count == 2)
        #expect(rig.assembler.questionAgain(about: RelationID(20_001)) == nil)
        #expect(rig.assembler.questionAgain(about: RelationID(20_002)) != nil)
        #expect(rig.assembler.plans.count == 31)
    }

    @Test func whatIsMissingIsFoundOnceEachHoweverManyThereAre() {
        let catalogue = TypeCatalogue()
        let oids = Array(UInt32(20_000)..<320_000)
        let clock = ContinuousClock()
        var missing: [UInt32] = []
        // A comparison of each with each takes minutes.
        let time = clock.measure { missing = catalogue.missing(oids + oids) }
        #expect(missing.count == oids.count && time < .seconds(20))
    }

    /// `before` and `entity_id` of a table with an identity index, of which the primary key cannot be seen.
    @Test func whereThePrimaryKeyCannotBeSeenNoOtherKeyStandsForIt() throws {
        func entityID(_ facts: TableFacts) throws -> Bool {
            var rig = try Rig(catalogue: Catalogue(tables: [RelationID(16_400): facts]))
            try rig.receive([
                WireMessage.begin(5000),
                WireMessage.relation(identity: "i", columns: [.init(name: "a"), .init(name: "b", isKey: true)]),
                WireMessage.insert([.text("1"), .text("2")]), WireMessage.commit(5000),
            ])
            return try #require(rig.events.first).text.contains(#""entity_id""#)
        }
        #expect(try entityID(TableFacts(identityIndex: ["b"])))
        #expect(try !entityID(TableFacts(identityIndex: ["b"], areCertain: false)))
    }
}
