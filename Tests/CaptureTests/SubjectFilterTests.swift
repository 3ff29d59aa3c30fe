import Testing

@testable import Capture

@Suite struct SubjectFilterTests {
    private func filter(_ template: String) throws -> SubjectFilter {
        SubjectFilter(try SubjectTemplate(template), prefix: "fraiseql.mutation")
    }

    @Test func theDefaultTemplateTellsBoth() throws {
        let filter = try filter("{prefix}.{entity}.{operation}")
        #expect(filter.pattern == "fraiseql.mutation.*.*")
        #expect(filter.tellsEntity && filter.tellsOperation)
        #expect(filter.subject(entity: "Order", operation: nil) == "fraiseql.mutation.Order.*")
        #expect(filter.subject(entity: nil, operation: "INSERT") == "fraiseql.mutation.*.INSERT")
        #expect(filter.subject(entity: "a.b é", operation: "X") == "fraiseql.mutation.a%2Eb%20%C3%A9.X")
        #expect(filter.subject(entity: nil, operation: "GAP") == "fraiseql.mutation.*.GAP")
        #expect(filter.subject(entity: "_slotstream", operation: nil) == "fraiseql.mutation._slotstream.*")
        #expect(filter.entity(in: "fraiseql.mutation.a%2Eb%20%C3%A9.X") == "a.b é")
        #expect(filter.operation(in: "fraiseql.mutation.Order.INSERT") == "INSERT")
    }

    @Test func eachTokenOfAnotherTemplateHasItsPlace() throws {
        let filter = try filter("{prefix}.v1.{column:tenant}.{schema}_{table}.{operation}.{entity}")
        #expect(filter.pattern == "fraiseql.mutation.v1.*.*.*.*")
        #expect(filter.subject(entity: "Order", operation: "DELETE") == "fraiseql.mutation.v1.*.*.DELETE.Order")
        #expect(filter.entity(in: "fraiseql.mutation.v1.7.public_tb_order.DELETE.Order") == "Order")
        // Markers and what is in quarantine stand elsewhere.
        #expect(filter.subject(entity: nil, operation: "GAP") == nil)
        #expect(filter.subject(entity: "_slotstream", operation: nil) == nil)
        #expect(filter.entity(in: "fraiseql.mutation._slotstream.GAP") == nil)
    }

    @Test(arguments: ["{prefix}.{entity}_{operation}", "{prefix}.{table}", "{prefix}.x{entity}.{operation}y"])
    func whatIsNoTokenOfItsOwnCannotBeFiltered(_ template: String) throws {
        let filter = try filter(template)
        #expect(!filter.tellsEntity && !filter.tellsOperation)
        #expect(filter.subject(entity: "Order", operation: nil) == nil)
        #expect(filter.subject(entity: nil, operation: "INSERT") == nil)
        #expect(filter.entity(in: "fraiseql.mutation.Order") == nil)
    }

    @Test(arguments: ["", "Order", "a.b", "é漢😀", "%", "_-_", "x y\n"])
    func aTokenIsReadBack(_ value: String) {
        #expect(EntityNaming.value(ofToken: EntityNaming.token(value)) == value)
    }

    @Test(arguments: ["%null", "%unknown", "%4", "%zz", "a b", "%ff", ">", "é"])
    func whatNoValueIsEncodedAsIsNone(_ token: String) {
        #expect(EntityNaming.value(ofToken: Array(token.utf8)) == nil)
    }
}
