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
        #expect(catalogue.description(of: 20_000).shape == .number)
        #expect(
            catalogue.description(of: 20_002)
                == ColumnType(shape: .number, arrayDelimiter: UInt8(ascii: ","), name: "_price"))
    }

    @Test func showsArraysOfArraysBehindADomainAsText() {
        var catalogue = TypeCatalogue()
        catalogue.insert(Self.row(20_000, "flags", base: 1000))
        catalogue.insert(Self.row(20_001, "_flags", element: 20_000))
        #expect(catalogue.description(of: 20_001).shape == .text)
    }

    @Test func knowsNothingOfATypeThatIsGone() {
        var catalogue = TypeCatalogue()
        catalogue.insertUnknown(20_000)
        #expect(catalogue.description(of: 20_000).shape == .text)
        #expect(catalogue.description(of: 20_000).arrayDelimiter == nil)
    }

    @Test func survivesACatalogueThatGoesInCircles() {
        var catalogue = TypeCatalogue()
        catalogue.insert(Self.row(20_000, "a", base: 20_001))
        catalogue.insert(Self.row(20_001, "b", base: 20_000))
        catalogue.insert(Self.row(20_002, "c", element: 20_002))
        #expect(catalogue.missing([20_000, 20_002]) == [])
        #expect(catalogue.description(of: 20_000).shape == .text)
        #expect(catalogue.description(of: 20_002).shape == .text)
    }
}
