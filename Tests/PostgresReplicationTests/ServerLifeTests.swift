import Foundation
import PostgresReplication
import PrivateServers
import Testing
import WAL

/// What befalls a server as a whole: each test has its own.
@Suite struct ServerLifeTests {
    /// pitfalls 4, 48d: nothing confirmed, everything received. With an old flush position the server would wait for ever.
    @Test func aFastShutdownIsNotHeldUpByAStreamerThatConfirmsNothing() throws {
        let server = try PostgresServer()
        let sql = try server.sql()
        try sql.execute("CREATE TABLE t (id int); CREATE PUBLICATION p FOR TABLE t")
        var connection = try server.walsender(walSenderTimeoutMilliseconds: 3000)
        let created = try connection.createLogicalSlot("s")
        try connection.startReplication(
            slot: "s", at: created.consistentPoint, options: [("proto_version", "1"), ("publication_names", "p")])
        var reader = StreamReader(connection)
        try sql.execute("INSERT INTO t SELECT generate_series(1, 1000)")
        try eventually("the commit arrives") {
            _ = try reader.waitAndReceive()
            try reader.connection.sendStandbyStatus(written: reader.receivedLSN, flushed: .invalid, applied: .invalid)
            return reader.tags.hasSuffix("C")
        }
        let early = sql.waitForShutdownNotice(timeout: .zero)
        #expect(!early)

        let start = ContinuousClock.now
        server.stopFast()
        var tag: String?
        try eventually("the stream ends") {
            if case .ended(let commandTag) = try reader.waitAndReceive() {
                tag = commandTag
                return true
            }
            try reader.connection.sendStandbyStatus(written: reader.receivedLSN, flushed: .invalid, applied: .invalid)
            return false
        }
        #expect(tag == "COPY 0")
        #expect(ContinuousClock.now - start < .seconds(30))
        let said = sql.waitForShutdownNotice(timeout: .seconds(10))
        #expect(said)
        try eventually("the server stops") { server.isStopped }
    }

    /// The ordinary session hears of it although nothing reads the stream, as under back-pressure.
    @Test func anIdleSessionHearsOfAFastShutdown() throws {
        let server = try PostgresServer()
        let sql = try server.sql()
        let start = ContinuousClock.now
        let early = sql.waitForShutdownNotice(timeout: .milliseconds(50))
        #expect(!early)
        server.stopFast()
        let said = sql.waitForShutdownNotice(timeout: .seconds(20))
        #expect(said)
        #expect(ContinuousClock.now - start < .seconds(30))
        try eventually("the server stops") { server.isStopped }
        let error = failure { () throws(PostgresError) in _ = try server.sql() }
        guard case .connectionFailed? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func aStandbyIsPassedOverForThePrimaryAndAPromotionBeginsATimeline() throws {
        let standby = try PostgresServer.standby()
        let primary = try PostgresServer.shared.get()
        let sql = try standby.sql()
        let wasInRecovery = try sql.isInRecovery()
        #expect(wasInRecovery)
        #expect(try sql.slots() == [])
        let replayed = try sql.currentWALLSN()

        let hosts = "host=127.0.0.1,127.0.0.1 port=\(standby.port),\(primary.port) user=postgres dbname=postgres"
        let chosen = try ReplicationConnection(
            ConnectionParameters(conninfo: hosts + " target_session_attrs=primary"))
        let port = chosen.port
        #expect(port == "\(primary.port)")
        let first = try ReplicationConnection(ConnectionParameters(conninfo: hosts))
        let firstPort = first.port
        #expect(firstPort == "\(standby.port)")

        #expect(try sql.query("SELECT pg_promote()") == [["t"]])
        let isInRecovery = try sql.isInRecovery()
        #expect(!isInRecovery)
        let walsender = try standby.walsender()
        let identity = try walsender.identifySystem()
        #expect(identity.timeline == 2)
        let history = try walsender.timelineHistory(of: identity.timeline)
        let switchPoint = try #require(history.switchPoint(of: 1))
        #expect(switchPoint >= replayed && switchPoint <= identity.flushLSN)
        #expect(history.timeline(containing: LSN(switchPoint.rawValue - 1)) == 1)
        #expect(history.timeline(containing: identity.flushLSN) == 2)
    }

    @Test func aServerThatStartsUpOrIsFullSaysSo() throws {
        let server = try PostgresServer(
            settings: ["max_connections = 2", "superuser_reserved_connections = 0", "max_wal_senders = 1"])
        /// A session that has just ended counts until its process has.
        func connected() throws -> SQLConnection {
            let deadline = ContinuousClock.now.advanced(by: .seconds(20))
            while true {
                do throws(PostgresError) {
                    return try server.sql()
                } catch {
                    guard error.sqlState == "53300", ContinuousClock.now < deadline else { throw error }
                    usleep(5000)
                }
            }
        }
        let first = try connected()
        let second = try connected()
        let error = failure { () throws(PostgresError) in _ = try server.sql() }
        #expect(error?.sqlState == "53300", "\(String(describing: error))")
        #expect(error?.isAuthentication == false)
        first.close()
        second.close()
    }
}
