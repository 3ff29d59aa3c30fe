import Testing

@testable import Pipeline

@Suite struct SetupUndoingTests {
    @Test(arguments: [
        ("CREATE PUBLICATION \"p\" FOR TABLE public.a, public.b", "DROP PUBLICATION \"p\""),
        ("CREATE PUBLICATION \"p\" FOR ALL TABLES", "DROP PUBLICATION \"p\""),
        ("CREATE PUBLICATION \"p\"", "DROP PUBLICATION \"p\""),
        (
            "ALTER PUBLICATION \"p\" ADD TABLE public.a, public.\"B\"",
            "ALTER PUBLICATION \"p\" DROP TABLE public.a, public.\"B\""
        ),
    ])
    func takesBackWhatSetupDoesToThePublication(_ statement: String, _ inverse: String) {
        #expect(SetupUndoing.inverse(of: statement, publication: "p") == inverse)
    }

    @Test(arguments: [
        "CREATE PUBLICATION \"q\"", "ALTER PUBLICATION \"q\" ADD TABLE public.a",
        "ALTER TABLE public.a REPLICA IDENTITY FULL",
    ])
    func knowsNoWayBackFromAnythingElse(_ statement: String) {
        #expect(SetupUndoing.inverse(of: statement, publication: "p") == nil)
    }
}
