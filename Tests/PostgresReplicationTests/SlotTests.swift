import PostgresReplication
import PrivateServers
import Testing
import WAL

@Suite struct SlotTests {
    let server: PostgresServer

    init() throws {
        server = try PostgresServer.shared.get()
    }

    @Test func aSlotIsMadeInspectedAdvancedCopiedAndDropped() throws {
        let name = uniqueName("slot")
        let sql = try server.sql()
        let walsender = try server.walsender()
        #expect(try sql.slot(named: name) == nil)

        let created = try walsender.createLogicalSlot(name, failover: true)
        #expect(created.name == name)
        let slot = try #require(try sql.slot(named: name))
        #expect(slot.confirmedFlushLSN == created.consistentPoint)
        #expect(slot.plugin == "pgoutput" && slot.slotType == "logical" && slot.database == "postgres")
        #expect(!slot.isTemporary && !slot.isActive && slot.activePID == nil)
        #expect(!slot.isInvalidated && slot.walStatus == "reserved" && !slot.twoPhase && !slot.isInRecovery)
        let restartLSN = try #require(slot.restartLSN)
        #expect(restartLSN <= created.consistentPoint)
        #expect(slot.retainedByteCount == slot.currentWALLSN.byteCount(since: restartLSN))
        let version = sql.serverVersion
        #expect(slot.failover == (version >= 170_000 ? true : nil))

        let again = try #require(failure { () throws(PostgresError) in _ = try walsender.createLogicalSlot(name) })
        #expect(again.sqlState == "42710")

        let copy = uniqueName("copy")
        #expect(try walsender.copyLogicalSlot(from: name, to: copy, temporary: true) == created.consistentPoint)
        let copied = try #require(try sql.slot(named: copy))
        #expect(copied.isTemporary && copied.isActive)
        let pid = walsender.backendPID
        #expect(copied.activePID == pid)

        try sql.execute("SELECT pg_logical_emit_message(true, 'test', 'x')")
        let target = try sql.currentWALLSN()
        #expect(try sql.advanceSlot(name, to: target) == target)
        let backwards = failure { () throws(PostgresError) in _ = try sql.advanceSlot(name, to: created.consistentPoint)
        }
        #expect(backwards?.sqlState == "55000")
        #expect(try sql.slots().map(\.name).contains(name))

        walsender.close()
        try eventually("the temporary slot goes with its session") { try sql.slot(named: copy) == nil }
        try sql.dropSlot(name)
        #expect(try sql.slot(named: name) == nil)
        let missing = try #require(failure { () throws(PostgresError) in try sql.dropSlot(name) })
        #expect(missing.isUndefinedObject)
    }

    @Test func aSlotThatWaitsForATransactionTimesOut() throws {
        let writer = try server.sql()
        try writer.execute("BEGIN; SELECT pg_current_xact_id()")
        let walsender = try server.walsender()
        let name = uniqueName("waiting")
        let error = failure { () throws(PostgresError) in
            _ = try walsender.createLogicalSlot(name, temporary: true, timeout: .milliseconds(300))
        }
        guard case .timedOut(let command) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(command.hasPrefix("CREATE_REPLICATION_SLOT"))
        try writer.execute("ROLLBACK")
    }
}
