import Testing

@testable import Pipeline

@Suite struct NameSearchTests {
    private let names: Set<String> = ["Customers", "OrderLine", "Order", "ORDER"]

    private func found(_ name: String, isWhole: Bool = true, among names: Set<String>? = nil) -> NameSearch.Found {
        NameSearch.find(NameSearch.forms(ofEntity: name, ["tb_"]), among: names ?? self.names, isWhole: isWhole)
    }

    @Test(arguments: [
        ("customers", "Customers"), ("CUSTOMERS", "Customers"), ("tb_customers", "Customers"), ("public.tb_customers", "Customers"),
        ("order_line", "OrderLine"), ("tb_order_line", "OrderLine"),
    ])
    func anotherCaseAndATablesNameAreFound(_ name: String, _ entity: String) {
        #expect(found(name) == .alike(entity))
    }

    @Test(arguments: ["public.tb_kunde", "tb_kunde", "PUBLIC.TB_KUNDE"])
    func aTableWithAnEntityThatWasChosenForItIsFound(_ name: String) {
        let forms = NameSearch.forms(ofEntity: name, ["tb_"], ["public.tb_kunde": "Customers", "public.tb_other": "Order"])
        #expect(NameSearch.find(forms, among: names, isWhole: true) == .alike("Customers"))
    }

    @Test func severalAreNotChosenFrom() {
        #expect(found("order") == .ambiguous(["ORDER", "Order"]))
    }

    @Test func whatIsNotThereIsToldWithWhatIs() {
        #expect(found("invoice") == .absent(["Customers", "ORDER", "Order", "OrderLine"]))
        // Nobody has seen all; nothing is there yet.
        #expect(found("invoice", isWhole: false) == .exactly)
        #expect(found("invoice", among: []) == .exactly)
    }
}
