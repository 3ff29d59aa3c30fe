import Testing

@testable import Capture

@Suite struct SubjectTemplateTests {
    private static func subject(_ template: String, columns: [String] = []) throws -> SubjectPlan {
        SubjectPlan(
            try SubjectTemplate(template), prefix: "fraiseql.mutation", database: "my shop", schema: "public",
            table: "tb_order", entity: "Order", operation: "INSERT", columnIndex: { columns.firstIndex(of: $0) })
    }

    @Test(arguments: [
        ("{prefix}.{entity}.{operation}", "fraiseql.mutation.Order.INSERT"),
        ("{prefix}.{database}.{schema}.{table}", "fraiseql.mutation.my%20shop.public.tb_order"),
        ("{prefix}.v1-{entity}_x.{operation}", "fraiseql.mutation.v1-Order_x.INSERT"),
        ("{prefix}.all", "fraiseql.mutation.all"),
    ])
    func fillsInWhatIsTheSameForAllRows(template: String, subject: String) throws {
        #expect(try Self.subject(template).fixed == Array(subject.utf8))
    }

    @Test func aColumnsNameMayHoldDots() throws {
        #expect(try Self.subject("{prefix}.{column:a..b}", columns: ["a..b"]).fixed == nil)
    }

    @Test func leavesAColumnToTheRow() throws {
        let plan = try Self.subject("{prefix}.{column:tenant id}.{operation}", columns: ["a", "tenant id"])
        #expect(plan.fixed == nil)
        #expect(plan.unknownColumns == Array("fraiseql.mutation.%unknown.INSERT".utf8))
        guard case .column(1) = plan.segments[1] else {
            Issue.record("the column's index is not in \(plan.segments)")
            return
        }
    }

    @Test(arguments: [
        "", "{entity}.{operation}", "prefix.{entity}", "{prefix}", "{prefix}.", "{prefix}{entity}",
        "{prefix}.{entity}.",
        "{prefix}..{entity}", "{prefix}.{Entity}", "{prefix}.{}", "{prefix}.{column:}", "{prefix}.{entity",
        "{prefix}.*",
        "{prefix}.>", "{prefix}.a b", "{prefix}.a\r\nb", "{prefix}.é", "{prefix}.}", "{prefix}.$x", "{prefix}.%20",
        "{prefix}.{column}", "{prefix}.{{entity}}",
    ])
    func refusesWhatMakesNoSubject(template: String) {
        #expect(throws: CaptureError.self) { try SubjectTemplate(template) }
    }
}
