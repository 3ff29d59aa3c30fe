import Foundation
import PostgresReplication
import PrivateServers
import Synchronization
import Testing
import WAL

@Suite struct CommandTests {
    let server: PostgresServer

    init() throws {
        server = try PostgresServer.shared.get()
    }

    @Test func identifiesTheServer() throws {
        let connection = try server.walsender()
        let sql = try server.sql()
        let identity = try connection.identifySystem()
        #expect(try sql.query("SELECT system_identifier FROM pg_control_system()") == [["\(identity.systemID)"]])
        #expect(identity.timeline == 1)
        #expect(identity.database == "postgres")
        #expect(identity.flushLSN.isValid)
        let currentWALLSN = try sql.currentWALLSN()
        #expect(identity.flushLSN <= currentWALLSN)
        #expect(try connection.timelineHistory(of: identity.timeline) == TimelineHistory(currentTimeline: 1))
        let missing = try #require(failure { () throws(PostgresError) in _ = try connection.timelineHistory(of: 7) })
        #expect(missing.sqlState == "58P01")
    }

    @Test func namesTheHostAndTheVersion() throws {
        let connection = try server.walsender()
        let version = connection.serverVersion
        let shown = try connection.query("SHOW server_version_num")
        #expect(shown == [["\(version)"]])
        let endpoint = connection.endpoint
        #expect(endpoint == "127.0.0.1:\(server.port)")
        let named = try SQLConnection(
            ConnectionParameters(conninfo: server.conninfo("hostaddr=127.0.0.1", host: "localhost")))
        let namedEndpoint = named.endpoint
        #expect(namedEndpoint == "localhost (127.0.0.1):\(server.port)")
        let socket = try SQLConnection(
            ConnectionParameters(conninfo: "host=\(server.folder) port=\(server.port) user=postgres dbname=postgres"))
        let socketEndpoint = socket.endpoint
        #expect(socketEndpoint == "\(server.folder):\(server.port)")
    }

    @Test func answersQuestionsAboutTheDatabase() throws {
        let sql = try server.sql()
        let oid = try sql.databaseOID()
        #expect(
            try sql.query("SELECT $1::oid = oid FROM pg_database WHERE datname = 'postgres'", ["\(oid)"]) == [["t"]])
        let isInRecovery = try sql.isInRecovery()
        #expect(!isInRecovery)
    }

    @Test func parametersAreTextAndNullIsNil() throws {
        let sql = try server.sql()
        let rows = try sql.query("SELECT $1::text, $2::text, $3::int, $4::text", ["", nil, "7", "é'\\😀"])
        #expect(rows == [["", nil, "7", "é'\\😀"]])
        #expect(try sql.query("SELECT 1 WHERE false") == [])
        #expect(try sql.query("SELECT i FROM generate_series(1, 3) AS i") == [["1"], ["2"], ["3"]])
    }

    @Test func aRefusedCommandLeavesTheConnectionUsable() throws {
        let sql = try server.sql()
        let error = try #require(failure { () throws(PostgresError) in _ = try sql.query("SELECT 1/$1::int", ["0"]) })
        guard case .server(let sqlState, let severity, let message, _, _, let command) = error else { throw error }
        #expect(
            sqlState == "22012" && severity == "ERROR" && message == "division by zero" && command == "SELECT 1/$1::int"
        )
        #expect(try sql.query("SELECT 1") == [["1"]])
        let several = try #require(
            failure { () throws(PostgresError) in try sql.execute("SELECT 1; SELECT nonsense; SELECT 2") })
        #expect(several.sqlState == "42703")
        #expect(try sql.query("SELECT 2") == [["2"]])
    }

    @Test func aNULByteIsRefusedBeforeItIsCutOff() throws {
        let sql = try server.sql()
        for attempt in [("SELECT 1\0", []), ("SELECT $1::text", ["a\0b"])] as [(String, [String?])] {
            let error = failure { () throws(PostgresError) in _ = try sql.query(attempt.0, attempt.1) }
            guard case .protocolViolation = error else {
                Issue.record("not refused")
                continue
            }
        }
        #expect(try sql.query("SELECT 1") == [["1"]])
    }

    @Test func copyIsRefusedNotWaitedFor() throws {
        let sql = try server.sql()
        let error = failure { () throws(PostgresError) in try sql.execute("COPY (SELECT 1) TO STDOUT") }
        guard case .protocolViolation = error else {
            Issue.record("not refused")
            return
        }
        guard case .connectionLost = failure({ () throws(PostgresError) in _ = try sql.query("SELECT 1") }) else {
            Issue.record("the connection is in the middle of a COPY")
            return
        }
    }

    @Test func aCommandThatOutlastsItsTimeIsNamed() throws {
        let sql = try server.sql()
        let start = ContinuousClock.now
        let error = failure { () throws(PostgresError) in
            _ = try sql.query("SELECT pg_sleep(30)", timeout: .milliseconds(200))
        }
        #expect(error == .timedOut(command: "SELECT pg_sleep(30)"))
        #expect(ContinuousClock.now - start < .seconds(30))
        guard case .connectionLost = failure({ () throws(PostgresError) in _ = try sql.query("SELECT 1") }) else {
            Issue.record("the answer to the first command would be taken for the second's")
            return
        }
    }

    @Test func sendsMoreThanASocketHolds() throws {
        let sql = try server.sql()
        let value = String(repeating: "é", count: 4_000_000)
        #expect(try sql.query("SELECT length($1), $1", [value]) == [["4000000", value]])
    }

    @Test func noticesAreDelivered() throws {
        let notices = Mutex<[PostgresNotice]>([])
        let keep: NoticeHandler = { notice in notices.withLock { $0.append(notice) } }
        let sql = try SQLConnection(server.parameters(), onNotice: keep)
        try sql.execute(
            "DO $$ BEGIN RAISE WARNING 'beware' USING ERRCODE = '01234', HINT = 'look out', DETAIL = 'there'; END $$")
        let walsender = try ReplicationConnection(server.parameters(), onNotice: keep)
        _ = try walsender.query("DO $$ BEGIN RAISE NOTICE 'hello'; END $$")
        #expect(
            notices.withLock { $0 } == [
                PostgresNotice(
                    severity: "WARNING", sqlState: "01234", message: "beware", detail: "there", hint: "look out"),
                PostgresNotice(severity: "NOTICE", sqlState: "00000", message: "hello"),
            ])
    }

    @Test func aTerminatedSessionSaysWhy() throws {
        let sql = try server.sql()
        let pid = sql.backendPID
        let early = sql.waitForShutdownNotice(timeout: .zero)
        #expect(!early)
        let other = try server.sql()
        _ = try other.query("SELECT pg_terminate_backend($1::int)", ["\(pid)"])
        let said = sql.waitForShutdownNotice(timeout: .seconds(20))
        #expect(said)
        let error = failure { () throws(PostgresError) in _ = try sql.query("SELECT 1") }
        #expect(error?.sqlState == "57P01", "\(String(describing: error))")
    }

    @Test func aSessionEndedInTheMiddleOfACommandSaysWhy() throws {
        let sql = try server.sql()
        let error = try #require(
            failure { () throws(PostgresError) in
                _ = try sql.query("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(10)")
            })
        #expect(error.sqlState == "57P01")
        #expect(error.isShuttingDown)
    }
}
