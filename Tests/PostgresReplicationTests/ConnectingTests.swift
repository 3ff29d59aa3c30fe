import Foundation
import PrivateServers
import Testing

@testable import PostgresReplication

@Suite struct ConnectingTests {
    let server: PostgresServer

    init() throws {
        server = try PostgresServer.shared.get()
    }

    private func connect(_ conninfo: String, timeout: Duration = .seconds(20)) throws(PostgresError) -> String {
        let connection = try SQLConnection(ConnectionParameters(conninfo: conninfo), timeout: timeout)
        return try connection.query("SELECT current_user || ' ' || inet_server_port()")[0][0] ?? ""
    }

    @Test func logsInByPassword() throws {
        let password = #"'open:se\\same\'d'"#
        #expect(try connect(server.conninfo("password=\(password)", user: "scram")) == "scram \(server.port)")
        #expect(
            try connect("postgresql://scram:open%3Ase%5Csame%27d@127.0.0.1:\(server.port)/postgres")
                == "scram \(server.port)")
    }

    @Test func aWrongPasswordIsNamedByItsCodeAndNotRepeated() throws {
        let error = try #require(
            failure { () throws(PostgresError) in _ = try connect(server.conninfo("password=tr0ub4dor", user: "scram"))
            })
        #expect(error.sqlState == "28P01")
        #expect(error.isAuthentication)
        #expect(error.isPermission)
        #expect(!error.description.contains("tr0ub4dor"))
        #expect(!error.description.contains("LOCATION"))
        guard case .connectionFailed(let message, _) = error else { throw error }
        #expect(message.contains("password authentication failed for user \"scram\""))
    }

    @Test func findsThePasswordInAPassfile() throws {
        let passfile = FileManager.default.temporaryDirectory.appendingPathComponent(uniqueName("passfile")).path
        defer { try? FileManager.default.removeItem(atPath: passfile) }
        let line = Data(#"127.0.0.1:*:*:scram:open\:se\\same'd"#.utf8)
        #expect(
            FileManager.default.createFile(atPath: passfile, contents: line, attributes: [.posixPermissions: 0o600]))
        #expect(try connect(server.conninfo("passfile=\(passfile)", user: "scram")) == "scram \(server.port)")
    }

    @Test func verifiesTheServersCertificateAndName() throws {
        let verify = "sslmode=verify-full sslrootcert=\(server.folder)/ca.crt"
        let connection = try SQLConnection(
            ConnectionParameters(conninfo: server.conninfo(verify, host: "localhost") + " hostaddr=127.0.0.1"))
        #expect(try connection.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [["t"]])

        let wrongName = try #require(failure { () throws(PostgresError) in _ = try connect(server.conninfo(verify)) })
        #expect(wrongName.isTLS, "\(wrongName)")
        let otherCA = "sslmode=verify-full sslrootcert=\(server.folder)/other.crt"
        let untrusted = try #require(
            failure { () throws(PostgresError) in
                _ = try connect(server.conninfo(otherCA, host: "localhost") + " hostaddr=127.0.0.1")
            })
        #expect(untrusted.isTLS, "\(untrusted)")
        #expect(untrusted.sqlState == nil)
    }

    @Test func logsInByClientCertificate() throws {
        let tls = "sslmode=verify-full sslrootcert=\(server.folder)/ca.crt hostaddr=127.0.0.1"
        let key = " sslcert=\(server.folder)/client.crt sslkey=\(server.folder)/client.key"
        let user = "certificate"
        #expect(try connect(server.conninfo(tls + key, host: "localhost", user: user)) == "certificate \(server.port)")
        let error = try #require(
            failure { () throws(PostgresError) in _ = try connect(server.conninfo(tls, host: "localhost", user: user)) }
        )
        #expect(error.isAuthentication || error.isTLS, "\(error)")
    }

    @Test func noSuchDatabaseAndNoRightToReplicateHaveTheirCodes() throws {
        let database = try #require(
            failure { () throws(PostgresError) in
                _ = try connect("host=127.0.0.1 port=\(server.port) user=postgres dbname=nowhere")
            })
        #expect(database.sqlState == "3D000")
        let right = try #require(
            failure { () throws(PostgresError) in
                _ = try ReplicationConnection(ConnectionParameters(conninfo: server.conninfo(user: "plain")))
            })
        #expect(right.sqlState == "42501")
        #expect(right.isPermission)
    }

    @Test func goesOnFromAHostThatRefuses() throws {
        let dead = try freePort()
        let conninfo = "host=127.0.0.1,127.0.0.1 port=\(dead),\(server.port) user=postgres dbname=postgres"
        #expect(try connect(conninfo) == "postgres \(server.port)")
    }

    @Test func goesOnFromHostsThatAcceptAndSayNothing() throws {
        let frozen = try SilentListener()
        let alsoFrozen = try SilentListener()
        let ports = "\(frozen.port),\(server.port),\(alsoFrozen.port)"
        let conninfo = "host=127.0.0.1,127.0.0.1,127.0.0.1 port=\(ports) user=postgres dbname=postgres"
        #expect(try connect(conninfo, timeout: .seconds(15)) == "postgres \(server.port)")
        let uri =
            "postgresql://postgres@127.0.0.1:\(frozen.port),127.0.0.1:\(alsoFrozen.port),127.0.0.1:\(server.port)/postgres"
        let parameters = ConnectionParameters(conninfo: uri, connectTimeout: .seconds(2))
        let connection = try SQLConnection(parameters, timeout: .seconds(60))
        #expect(try connection.query("SHOW port") == [["\(server.port)"]])
    }

    @Test func givesUpInTimeWhenNobodyAnswers() throws {
        let frozen = try SilentListener()
        let start = ContinuousClock.now
        let conninfo = "host=127.0.0.1,127.0.0.1 port=\(frozen.port) user=postgres dbname=postgres"
        let error = try #require(
            failure { () throws(PostgresError) in _ = try connect(conninfo, timeout: .seconds(1)) })
        #expect(ContinuousClock.now - start < .seconds(30))
        guard case .connectionFailed(let message, nil) = error else { throw error }
        #expect(message.contains("127.0.0.1:\(frozen.port) did not answer in time"))
    }

    @Test func nobodyListeningIsNoTLSFailureAndHasNoCode() throws {
        let port = try freePort()
        let error = try #require(
            failure { () throws(PostgresError) in _ = try connect("host=127.0.0.1 port=\(port) dbname=x") })
        #expect(error.sqlState == nil)
        #expect(!error.isTLS)
        #expect(error.description.contains("refused"))
    }

    @Test(arguments: [
        "host=localhost password=hush hush2 dbname=x", "password='hush", "postgresql://u:hu%zzsh@localhost/x",
        "postgresql://u:hush@hush2@localhost/x", "postgresql://u:hu/hush@localhost/x", "postgres://u:pw@[hush/x",
        "hush=1 nonsense=2", "postgresql://u:p?a@hush@localhost/x", "postgresql://localhost?password=x@hush",
    ])
    func aConnectionStringThatCannotBeReadIsNotRepeated(conninfo: String) throws {
        let error = try #require(failure { () throws(PostgresError) in _ = try connect(conninfo) })
        guard case .connectionStringInvalid(let message) = error else { throw error }
        #expect(error.isConnectionString && !error.isAuthentication)
        #expect(!message.contains("hush") && !message.contains("zz"), "\(message)")
    }

    /// What libpq finds out when it begins to connect, and no server can mend. `postgresql://user:hush/x` has no @: the password stands where the port belongs.
    @Test(arguments: ["host=127.0.0.1 sslmode=hush", "host=127.0.0.1 port=99999999", "host=a,b port=1,2,3", "postgresql://user:hush/x"])
    func anOptionThatLibpqRefusesIsTheConnectionStringsFault(conninfo: String) throws {
        let error = try #require(failure { () throws(PostgresError) in _ = try connect(conninfo) })
        #expect(error.isConnectionString, "\(error)")
        #expect(!error.description.contains("hush"), "\(error)")
    }

    @Test func aMissingPasswordIsToldFromAWrongOne() throws {
        let error = try #require(
            failure { () throws(PostgresError) in _ = try connect(server.conninfo("passfile=/nonexistent", user: "scram")) })
        guard case .passwordMissing = error else { throw error }
        #expect(error.isPassword && error.isAuthentication && !error.isConnectionString)
    }

    @Test(arguments: ["postgresql://u:p%40s%3Fs@[::1]:1/x?application_name=a@b", "postgresql:///x?user=a@b&host=/tmp"])
    func anAtSignWhereItMayStandIsRead(conninfo: String) throws {
        try ConnectionParameters(conninfo: conninfo).validate()
    }

    @Test func connectionStringsAreNotPrinted() {
        let parameters = ConnectionParameters(conninfo: "password=hush")
        var dumped = ""
        dump(parameters, to: &dumped)
        #expect(!"\(parameters) \(String(reflecting: parameters)) \(dumped)".contains("hush"))
    }

    @Test func aNULByteIsRefused() throws {
        let error = try #require(failure { () throws(PostgresError) in _ = try connect("dbname=x\0y") })
        #expect(error.description.contains("NUL"))
    }
}
