import Testing

@testable import Capture

@Suite struct TypeCatalogueTests {
    private static func row(_ oid: UInt32, _ name: String, element: UInt32 = 0, base: UInt32 = 0) -> TypeRow {
        TypeRow(
            oid: oid, name: name, kind: "b", elementOID: element, elementDelimiter: UInt8(ascii: ","), baseOID: base)
    }

    @Test func asksForUserTypesRoundByRoundAndOnce() {
        var catalogue = TypeCatalogue()
        #expect(catalogue.missing([23, 25, 1009]) == [])
        #expect(catalogue.missing([20_000, 23, 20_000]) == [20_000])
        catalogue.insert(Self.row(20_000, "prices", base: 20_001))
        #expect(catalogue.missing([20_000]) == [20_001])
        catalogue.insert(Self.row(20_001, "_price", element: 20_002))
        #expect(catalogue.missing([20_000]) == [20_002])
        catalogue.insertUnknown(20_002)
        #expect(catalogue.missing([20_000, 20_002]) == [])
    }

    @Test func describesDomainsAsTheirBaseAndArraysByTheirElements() {
        var catalogue = TypeCatalogue()
        catalogue.insert(Self.row(20_000, "price", base: 1700))
        catalogue.insert(Self.row(20_001, "_price", element: 20_000))
        catalogue.insert(Self.row(20_002, "prices", base: 20_001))
        #expect(catalogue.form(of: 20_000) == .scalar(.number))
        #expect(catalogue.form(of: 20_002) == .array(of: .scalar(.number), delimiter: UInt8(ascii: ",")))
        #expect(catalogue.name(of: 20_002) == "prices" && catalogue.name(of: 1007) == "int4[]")
    }

    @Test func describesArraysOfArraysBehindADomainWhole() {
        var catalogue = TypeCatalogue()
        catalogue.insert(Self.row(20_000, "flags", base: 1000))
        catalogue.insert(Self.row(20_001, "_flags", element: 20_000))
        let comma = UInt8(ascii: ",")
        #expect(
            catalogue.form(of: 20_001)
                == .array(of: .array(of: .scalar(.boolean), delimiter: comma), delimiter: comma))
    }

    @Test func describesCompositesByTheirAttributesAndAsksForThoseTypes() {
        var catalogue = TypeCatalogue()
        var pair = Self.row(20_000, "pair")
        pair.kind = "c"
        pair.attributes = [.init(name: "a", typeOID: 23), .init(name: "say \"b\"", typeOID: 20_001)]
        catalogue.insert(pair)
        #expect(catalogue.missing([20_000]) == [20_001])
        catalogue.insert(Self.row(20_001, "mood"))
        let form = ValueForm.composite(
            CompositeForm(fields: [
                .init(key: Array("\"a\":".utf8), form: .scalar(.number)),
                .init(key: Array(#""say \"b\"":"#.utf8), form: .scalar(.text)),
            ]))
        #expect(catalogue.form(of: 20_000) == form)
        catalogue.forget([20_000])
        #expect(catalogue.missing([20_000, 20_001]).sorted() == [20_000, 20_001])
        catalogue.insert(Self.row(20_001, "mood"))
        pair.attributes.removeLast()
        catalogue.insert(pair)
        #expect(catalogue.missing([20_000]) == [])
    }

    @Test(.timeLimit(.minutes(1))) func describesCompositesOfCompositesOnce() {
        var catalogue = TypeCatalogue()
        for depth in UInt32(0)..<30 {
            var row = Self.row(20_000 + depth, "t\(depth)")
            row.kind = "c"
            let part = depth == 0 ? 23 : 20_000 + depth - 1
            row.attributes = [.init(name: "a", typeOID: part), .init(name: "b", typeOID: part)]
            catalogue.insert(row)
        }
        guard case .composite(let form) = catalogue.form(of: 20_029) else {
            Issue.record("no composite")
            return
        }
        #expect(form.fields.count == 2)
    }

    @Test func goesByCastsToJSON() {
        var catalogue = TypeCatalogue()
        catalogue.insert(TypeRow(oid: 20_000, name: "hstore", kind: "b", jsonCast: .hstore))
        catalogue.insert(TypeRow(oid: 20_001, name: "mine", kind: "e", jsonCast: .function))
        #expect(catalogue.form(of: 20_000) == .hstore)
        #expect(catalogue.form(of: 20_001) == .cast(typeOID: 20_001))
    }

    @Test func knowsNothingOfATypeThatIsGone() {
        var catalogue = TypeCatalogue()
        catalogue.insertUnknown(20_000)
        #expect(catalogue.form(of: 20_000) == .unknown)
    }

    @Test func survivesACatalogueThatGoesInCircles() {
        var catalogue = TypeCatalogue()
        catalogue.insert(Self.row(20_000, "a", base: 20_001))
        catalogue.insert(Self.row(20_001, "b", base: 20_000))
        catalogue.insert(Self.row(20_002, "c", element: 20_002))
        #expect(catalogue.missing([20_000, 20_002]) == [])
        #expect(catalogue.form(of: 20_000) == .unknown)
        var form = catalogue.form(of: 20_002)
        var depth = 0
        while case .array(let element, _) = form {
            form = element
            depth += 1
        }
        #expect(form == .unknown && depth == 32)
    }
}
