import Foundation
import PostgresReplication
import PrivateServers
import Testing
import WAL

@Suite struct StreamingTests {
    let server: PostgresServer
    let slot = uniqueName("stream")
    let table = uniqueName("t")

    init() throws {
        server = try PostgresServer.shared.get()
    }

    /// Reading differs: TLS hands out records.
    static let sslModes = ["sslmode=disable", "sslmode=require"]

    private var options: [(name: String, value: String)] {
        [("proto_version", "1"), ("publication_names", quoteIdentifier(table))]
    }

    /// A session that streams a temporary slot over a publication of `table`, all from now on.
    private func stream(
        _ more: String = "", walSenderTimeoutMilliseconds: Int? = nil
    ) throws -> StreamReader {
        let sql = try server.sql()
        try sql.execute(
            "CREATE TABLE \(table) (id int PRIMARY KEY, body text); CREATE PUBLICATION \(table) FOR TABLE \(table)")
        var connection = try ReplicationConnection(
            server.parameters(more), walSenderTimeoutMilliseconds: walSenderTimeoutMilliseconds, timeout: .seconds(20))
        let created = try connection.createLogicalSlot(slot, temporary: true)
        try connection.startReplication(slot: slot, at: created.consistentPoint, options: options)
        return StreamReader(connection)
    }

    private func insert(_ ids: ClosedRange<Int>, body: String = "'x'") throws {
        try server.sql().execute(
            "INSERT INTO \(table) SELECT i, \(body) FROM generate_series(\(ids.lowerBound), \(ids.upperBound)) AS i")
    }

    @Test func aTransactionsFramesArriveInOrder() throws {
        var reader = try stream()
        try insert(1...3)
        try eventually("the commit arrives") {
            _ = try reader.waitAndReceive()
            return reader.tags.hasSuffix("C")
        }
        #expect(reader.tags == "BRIIIC")
        let clock = reader.lastServerClock.unixMicroseconds
        #expect(abs(clock - Int64(Date().timeIntervalSince1970 * 1_000_000)) < 60_000_000)
        guard
            case .xlogData(let walStart, let walEnd, "I", let byteCount)? = reader.frames.first(where: { $0.tag == "I" }
            )
        else {
            Issue.record("\(reader.frames)")
            return
        }
        #expect(walStart.isValid && walStart == walEnd)
        // `I`, relation, `N`, two columns of one character.
        #expect(byteCount == 1 + 4 + 1 + 2 + 2 * (1 + 4 + 1))
    }

    @Test func aMessageThatIsGivenBackComesAgainBeforeAllOthers() throws {
        var reader = try stream()
        try insert(1...3)
        try eventually("the first message arrives") { try reader.giveBack() != nil }
        for _ in 0..<3 { #expect(try reader.giveBack() == "B") }
        // A status in between takes nothing from it.
        try reader.connection.sendStandbyStatus(written: LSN(1), flushed: .invalid, applied: .invalid)
        try eventually("the commit arrives") {
            _ = try reader.receive(limit: 1)
            if reader.tags == "B" { #expect(try reader.giveBack() ?? "R" == "R") }
            return reader.tags.hasSuffix("C")
        }
        #expect(reader.tags == "BRIIIC")
        // One that nobody takes any more is freed with the connection.
        try insert(4...4)
        try eventually("another message arrives") { try reader.giveBack() != nil }
    }

    @Test(arguments: sslModes) func aHandlerThatStopsIsGivenTheNextFrameLaterWithoutTheSocket(sslMode: String) throws {
        var reader = try stream(sslMode)
        try insert(1...5)
        // Wait until everything is in the socket, so that one read takes it all into libpq.
        let sql = try server.sql()
        try eventually("all is sent") {
            try sql.query(
                "SELECT sent_lsn >= pg_current_wal_lsn() FROM pg_stat_replication WHERE pid = $1::int",
                ["\(reader.connection.backendPID)"]) == [["t"]]
        }
        try eventually("the first frame arrives") {
            let outcome = try reader.receive(limit: 1)
            return outcome == .stopped && !reader.frames.isEmpty
        }
        var turns = 0
        while !reader.tags.hasSuffix("C"), turns < 50 {
            let before = reader.frames.count
            let outcome = try reader.receive(limit: 1)
            #expect(reader.frames.count <= before + 1)
            if outcome == .drained { usleep(5000) }
            turns += 1
        }
        #expect(reader.tags == "BRIIIIIC")
    }

    @Test func aHandlersErrorPassesThroughAndTheStreamGoesOn() throws {
        var reader = try stream()
        try insert(1...1)
        try eventually("the error comes through") {
            do throws(ReceiveError<StreamReader.Failure>) {
                _ = try reader.receive(failAt: 2)
                return false
            } catch {
                #expect(error == .handler(StreamReader.Failure()))
                return true
            }
        }
        try eventually("the commit arrives") {
            _ = try reader.waitAndReceive()
            return reader.tags.hasSuffix("C")
        }
        // The frame that the handler failed on is gone.
        #expect(reader.tags.count == 3)
    }

    @Test func largeRowsArriveWholeOverTLS() throws {
        let tls = "sslmode=verify-full sslrootcert=\(server.folder)/ca.crt hostaddr=127.0.0.1 host=localhost"
        var reader = try stream(tls)
        // Around the sizes of TLS records and of libpq's reads, then far beyond both.
        try insert(1...1200, body: "repeat('x', i * 41)")
        try insert(2001...2003, body: "repeat('y', 20000000)")
        try eventually("all rows arrive") {
            let outcome = try reader.waitAndReceive()
            #expect(outcome == .drained || outcome == .stopped)
            return reader.tags.filter { $0 == "C" }.count == 2
        }
        let byteCounts = reader.frames.compactMap { frame -> Int? in
            guard case .xlogData(_, _, "I", let byteCount) = frame else { return nil }
            return byteCount
        }
        #expect(byteCounts.count == 1203)
        #expect(byteCounts.suffix(3).allSatisfy { $0 > 20_000_000 })
    }

    /// Nothing is left in the TLS layer when the socket is quiet: else a row would wait for the traffic after it.
    @Test func oneRowOverTLSDoesNotWaitForTheNext() throws {
        let tls = "sslmode=verify-full sslrootcert=\(server.folder)/ca.crt hostaddr=127.0.0.1 host=localhost"
        var reader = try stream(tls, walSenderTimeoutMilliseconds: 0)
        for (index, size) in stride(from: 7000, through: 33000, by: 1300).enumerated() {
            try insert(index...index, body: "repeat('x', \(size))")
            try eventually("row \(index) of \(size) bytes") {
                _ = try reader.waitAndReceive()
                return reader.tags.filter { $0 == "C" }.count == index + 1
            }
        }
    }

    @Test func aRequestedReplyComesAndAConfirmationMovesTheSlot() throws {
        var reader = try stream()
        let sql = try server.sql()
        let before = try #require(try sql.slot(named: slot)?.confirmedFlushLSN)
        try insert(1...1)
        try eventually("the commit arrives") {
            _ = try reader.waitAndReceive()
            return reader.tags.hasSuffix("C")
        }
        let end = reader.receivedLSN
        let pid = "\(reader.connection.backendPID)"
        try reader.connection.sendStandbyStatus(written: end, flushed: .invalid, applied: .invalid)
        let unsent = reader.connection.hasUnsentOutput
        #expect(!unsent)
        try eventually("the server has the status") {
            try sql.query("SELECT write_lsn FROM pg_stat_replication WHERE pid = $1::int", [pid]) == [["\(end)"]]
        }
        // Told of all that it sent, the server says nothing unasked any more, unless others write meanwhile.
        _ = try reader.waitAndReceive()
        let keepaliveCount = reader.frames.count { $0.tag == nil }
        try reader.connection.sendStandbyStatus(
            written: end, flushed: .invalid, applied: .invalid, replyRequested: true)
        try eventually("the server replies") {
            _ = try reader.waitAndReceive()
            return reader.frames.count { $0.tag == nil } > keepaliveCount
        }
        #expect(try sql.slot(named: slot)?.confirmedFlushLSN == before)

        try reader.connection.sendStandbyStatus(written: end, flushed: end, applied: end)
        try eventually("the slot follows") { try sql.slot(named: slot)?.confirmedFlushLSN == end }
    }

    @Test func aSlotHeldByAnotherIsInUse() throws {
        let reader = try stream()
        let other = try server.walsender()
        var second = other
        let error = try #require(
            failure { () throws(PostgresError) in
                try second.startReplication(slot: slot, at: .invalid, options: options)
            })
        // A temporary slot of another session cannot even be named.
        #expect(error.isObjectInUse, "\(error)")
        let pid = reader.connection.backendPID
        #expect(error.description.contains("\(pid)"))
        _ = try second.identifySystem()
    }

    @Test func aMissingSlotIsUndefined() throws {
        var walsender = try server.walsender()
        let error = failure { () throws(PostgresError) in
            try walsender.startReplication(slot: "no_such_slot", at: .invalid, options: options)
        }
        #expect(error?.isUndefinedObject == true)
    }

    @Test(arguments: sslModes) func aStreamerThatIsSilentTooLongIsToldWhatThatMayHaveBeen(sslMode: String) throws {
        var reader = try stream(sslMode, walSenderTimeoutMilliseconds: 6000)
        var caught: ReceiveError<StreamReader.Failure>?
        try eventually("the server drops us") {
            do throws(ReceiveError<StreamReader.Failure>) {
                _ = try reader.waitAndReceive()
                return false
            } catch {
                caught = error
                return true
            }
        }
        guard case .postgres(.connectionLost(let message))? = caught else {
            Issue.record("\(String(describing: caught))")
            return
        }
        #expect(message.contains("wal_sender_timeout"))
        // It asked before it did.
        #expect(reader.frames.contains { $0 == .keepalive(walEnd: reader.receivedLSN, replyRequested: true) })
        let error = failure { () throws(PostgresError) in
            try reader.connection.sendStandbyStatus(written: .invalid, flushed: .invalid, applied: .invalid)
        }
        guard case .connectionLost? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test(arguments: sslModes) func aTerminatedWalsenderDeliversWhatCameFirstAndThenSaysWhy(sslMode: String) throws {
        var reader = try stream(sslMode)
        try insert(1...100)
        let sql = try server.sql()
        let pid = "\(reader.connection.backendPID)"
        try eventually("all is sent") {
            try sql.query("SELECT sent_lsn >= pg_current_wal_lsn() FROM pg_stat_replication WHERE pid = $1::int", [pid])
                == [["t"]]
        }
        _ = try sql.query("SELECT pg_terminate_backend($1::int)", [pid])
        try eventually("it is gone") {
            try sql.query("SELECT 1 FROM pg_stat_activity WHERE pid = $1::int", [pid]).isEmpty
        }
        var caught: ReceiveError<StreamReader.Failure>?
        try eventually("the error comes") {
            do throws(ReceiveError<StreamReader.Failure>) {
                _ = try reader.receive(limit: 7)
                return false
            } catch {
                caught = error
                return true
            }
        }
        #expect(reader.tags == "BR" + String(repeating: "I", count: 100) + "C")
        guard case .postgres(let error)? = caught else { return }
        #expect(error.sqlState == "57P01", "\(error)")
        #expect(error.isShuttingDown)
    }

    @Test(arguments: sslModes) func aStatusToATerminatedWalsenderSaysWhyToo(sslMode: String) throws {
        let reader = try stream(sslMode)
        let sql = try server.sql()
        let pid = "\(reader.connection.backendPID)"
        _ = try sql.query("SELECT pg_terminate_backend($1::int)", [pid])
        try eventually("it is gone") {
            try sql.query("SELECT 1 FROM pg_stat_activity WHERE pid = $1::int", [pid]).isEmpty
        }
        var caught: PostgresError?
        try eventually("sending fails") {
            do throws(PostgresError) {
                try reader.connection.sendStandbyStatus(written: .invalid, flushed: .invalid, applied: .invalid)
                return false
            } catch {
                caught = error
                return true
            }
        }
        #expect(caught?.sqlState == "57P01", "\(String(describing: caught))")
    }

    /// A server that does not read: the newest status waits, nothing piles up, and no call blocks.
    @Test func statusesDoNotPileUpWhenTheServerDoesNotRead() throws {
        let reader = try stream()
        let sql = try server.sql()
        let pid = reader.connection.backendPID
        kill(pid, SIGSTOP)
        var count: UInt64 = 0
        let start = ContinuousClock.now
        var unsentInARow = 0
        while unsentInARow < 1000, count < 2_000_000 {
            count += 1
            try reader.connection.sendStandbyStatus(written: LSN(count), flushed: .invalid, applied: .invalid)
            // The kernel may find more room for what is queued already.
            unsentInARow = reader.connection.hasUnsentOutput ? unsentInARow + 1 : 0
        }
        #expect(unsentInARow == 1000)
        #expect(ContinuousClock.now - start < .seconds(30))
        kill(pid, SIGCONT)
        try eventually("all is sent") {
            try reader.connection.flush()
            return !reader.connection.hasUnsentOutput
        }
        try eventually("the newest status arrives") {
            try sql.query("SELECT write_lsn FROM pg_stat_replication WHERE pid = $1::int", ["\(pid)"]) == [
                ["\(LSN(count))"]
            ]
        }
    }

    @Test func framesBeforeTheStreamAreRefused() throws {
        var reader = StreamReader(try server.walsender())
        do throws(ReceiveError<StreamReader.Failure>) {
            _ = try reader.receive()
            Issue.record("nothing streams")
        } catch {
            #expect(error == .postgres(.connectionLost(message: "no stream is running")))
        }
        _ = try reader.connection.identifySystem()
    }
}
