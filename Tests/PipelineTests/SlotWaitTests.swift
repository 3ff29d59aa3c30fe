import Testing

@testable import Pipeline

@Suite struct SlotWaitTests {
    @Test func namesAPreparedTransactionWithTheCommandsThatEndIt() {
        let wait = SlotWait(
            slot: "s", holders: [.prepared(gid: "it's", database: "shop", since: "2026-11-28 19:00:00+00")])
        #expect(
            wait.lines == [
                "prepared transaction 'it''s' of database shop, prepared at 2026-11-28 19:00:00+00: in that database, COMMIT PREPARED 'it''s' or ROLLBACK PREPARED 'it''s'"
            ])
        #expect(wait.reason.hasPrefix("PostgreSQL has not made slot s yet, and waits for a transaction to end"))
        #expect(wait.reason.contains("'it''s'"))
    }

    @Test func namesAProcessWithItsUserAndDatabase() {
        let wait = SlotWait(slot: "s", holders: [.process(pid: 7, database: "shop", user: "ann")])
        #expect(
            wait.lines == [
                "process 7 of ann in database shop: wait for its end, or SELECT pg_terminate_backend(7)"
            ])
    }

    @Test func hasAReasonWhereNobodyIsKnown() {
        let wait = SlotWait(slot: "s", holders: [])
        #expect(wait.lines.isEmpty)
        #expect(wait.reason == "PostgreSQL has not made slot s yet, and waits for transactions to end")
    }
}
