import Capture
import JetStreamPublishing
import PostgresReplication
import Testing

@testable import History

/// What `check` makes of facts, as far as the servers of the end-to-end tests cannot be brought into them, and where a finding begins.
@Suite struct CheckedFactsTests {
    private static func server(_ version: Int = 180_004, _ settings: [String: String] = [:], _ slots: [SlotState] = []) -> CheckedServer {
        CheckedServer(version: version, settings: settings, slots: slots, slotName: "s")
    }

    private static func ids(_ findings: [Finding]) -> [String] { findings.map(\.id.rawValue) }

    @Test func nothingKnownIsNothingFound() {
        #expect(Self.server().findings == [])
        #expect(CheckedRole(name: "r", database: "d").findings == [])
        #expect(CheckedTables(publication: "p", capture: CaptureConfiguration()).findings == [])
        #expect(CheckedProcess().findings == [])
    }

    // MARK: - PostgreSQL

    @Test(arguments: [(150_012, 2), (150_013, 1), (150_014, 0), (160_008, 2), (160_010, 0), (170_005, 1), (170_006, 0), (180_000, 0)])
    func minorVersionsWithFaultsAreNamed(_ version: Int, _ count: Int) {
        let found = Self.server(version).findings
        #expect(Self.ids(found) == Array(repeating: "W045", count: count))
        #expect(found.allSatisfy { $0.message.contains("https://www.postgresql.org/docs/release/") && $0.fix.hasPrefix("Update PostgreSQL") })
    }

    @Test func theLimitOfWALIsHeldAgainstAnHour() {
        var server = Self.server(180_004, ["max_slot_wal_keep_size": "100"])
        #expect(server.findings == [])
        server.walBytesPerSecond = 100 * 1024 * 1024 / 3600 - 1
        #expect(server.findings == [])
        server.walBytesPerSecond = 100 * 1024 * 1024 / 3600 + 1
        #expect(Self.ids(server.findings) == ["W005"])
        // A day of that, and never less than 10 GB.
        #expect(server.findings.first?.mending.contains("'10240MB'") == true)
        server.walBytesPerSecond = 10 * 1024 * 1024
        #expect(server.findings.first?.mending.contains("'864256MB'") == true)
    }

    @Test func aDiskIsFullWhereSlotsMayStillFillIt() {
        var server = Self.server(180_004, ["max_slot_wal_keep_size": "1024"])
        server.disk = CheckedServer.Disk(freeByteCount: 2 << 30, byteCount: 20 << 30)
        #expect(server.findings == [])
        server.disk = CheckedServer.Disk(freeByteCount: 1 << 29, byteCount: 4 << 30)
        #expect(Self.ids(server.findings) == ["W043"])
        server = Self.server(180_004, ["max_slot_wal_keep_size": "1024"])
        // A twentieth is free, whatever slots may hold.
        server.disk = CheckedServer.Disk(freeByteCount: 4 << 30, byteCount: 100 << 30)
        #expect(Self.ids(server.findings) == ["W043"])
    }

    @Test func fewSpilledBytesAreWhatLargeTransactionsDo() {
        var server = Self.server()
        server.spilled = CheckedServer.Spilled(transactionCount: 1, byteCount: 25, decodedByteCount: 100)
        #expect(server.findings == [])
        server.spilled = CheckedServer.Spilled(transactionCount: 1, byteCount: 26, decodedByteCount: 100)
        #expect(Self.ids(server.findings) == ["W046"])
    }

    @Test func aSlotThatStreamsHasItsWalsenderAndOneThatIsThereItsPlace() {
        let limits = ["max_replication_slots": "1", "max_wal_senders": "1"]
        var server = Self.server(180_004, limits, [SlotState(name: "other")])
        server.senderCount = 1
        #expect(Self.ids(server.findings) == ["E002", "E003"])
        server = Self.server(180_004, limits, [SlotState(name: "s", isActive: true)])
        server.senderCount = 1
        #expect(server.findings == [])
    }

    @Test func theFirstSuperuserIsToldToUseAnotherRole() {
        var role = CheckedRole(name: "postgres", database: "d")
        role.isSuperuser = true
        #expect(role.findings.first?.mending == "ALTER ROLE \"postgres\" NOSUPERUSER;")
        role.isFirstSuperuser = true
        #expect(role.findings.first?.mending.contains("sql/role.sql") == true && role.findings.first?.paste == nil)
    }

    // MARK: - NATS

    private static func account(_ version: String, replicas: Int) -> CheckedAccount {
        var account = CheckedAccount(
            stream: StreamConfiguration(name: "S", subjectPrefix: "p", duplicateWindow: .seconds(300), maxBytes: 100 << 20),
            neededRights: NATSRights(stream: "S", prefix: "p", consumer: nil), replicas: replicas)
        account.version = version
        return account
    }

    @Test(arguments: [("2.10.26", 3, 1), ("2.11.11", 3, 1), ("2.12.0", 3, 0), ("2.10.26", 1, 0), ("2.9.10", 3, 0)])
    func versionsThatKeepTheIDOfARefusedMessage(_ version: String, _ replicas: Int, _ count: Int) {
        #expect(Self.ids(Self.account(version, replicas: replicas).findings) == Array(repeating: "W058", count: count))
    }

    @Test func roomIsWhatOthersLeave() {
        var account = Self.account("2.15.1", replicas: 1)
        account.storageLimit = 150 << 20
        account.storageTaken = 50 << 20
        #expect(account.findings == [])
        account.storageTaken = 51 << 20
        #expect(account.findings.first?.mending == "transport.nats.jetstream.max_bytes = \"74MiB\"")
        // What ours has reserved is its own.
        account.streamLimit = 100 << 20
        account.storageTaken = 140 << 20
        #expect(account.findings == [])
    }

    @Test(arguments: [(1.9, 0), (-1.9, 0), (2.1, 1), (-60, 1)])
    func clocksMayDifferALittle(_ difference: Double, _ count: Int) {
        var account = Self.account("2.15.1", replicas: 1)
        account.clockDifference = difference
        #expect(Self.ids(account.findings) == Array(repeating: "W059", count: count))
    }

    // MARK: - Here

    @Test func memoryIsForWhatIsInFlight() {
        var process = CheckedProcess()
        process.inFlightBytes = 8 << 20
        process.memoryLimit = 80 << 20
        #expect(process.findings == [])
        process.memoryLimit = (80 << 20) - 1
        #expect(Self.ids(process.findings) == ["W062"])
    }

    // MARK: - The report

    @Test func aReportIsInTheOrderOfTheScreenAndSaysHowItEnds() {
        let warning = Finding.publishedByPartition(["public.a"], publication: "p")[0]
        let report = CheckReport([.subjectsTaken("p.>", of: "S", by: ["x"]), warning, .publicationEmpty("p"), .walLevel("replica")])
        #expect(Self.ids(report.findings) == ["E001", "E017", "W020", "E029"])
        #expect(report.status(isStrict: false) == .findings)
        #expect(CheckReport([warning]).status(isStrict: false) == .done && CheckReport([warning]).status(isStrict: true) == .findings)
        #expect(CheckReport([]).status(isStrict: true) == .done)
    }

    @Test func anErrorIsAFindingOrAServerThatDoesNotAnswer() {
        let away = StreamerError.postgres(.connectionFailed(message: "Connection refused", sqlState: nil))
        let report = CheckReport([], errors: [away, .jetStream(.authorization("no")), .jetStream(.tls("no"))])
        #expect(Self.ids(report.findings).sorted() == ["E007", "E064"])
        #expect(report.failures.count == 1 && report.status(isStrict: false) == .unreachable)
        // What was found already is not told twice.
        #expect(CheckReport(report.findings, errors: [.jetStream(.authorization("no"))]).findings.count == 2)
    }

    @Test func aScriptLeavesDecisionsToAPerson() {
        let report = CheckReport([.walLevel("replica"), .heldBack(by: "process 7", statement: "SELECT pg_terminate_backend(7)"), .publicationEmpty("p")])
        #expect(
            report.script()
                == "-- E001 PostgreSQL cannot make a logical slot: wal_level is replica\nALTER SYSTEM SET wal_level = 'logical';  -- then restart PostgreSQL\n"
                + "-- W037 a transaction is open for long: process 7\n-- by hand: SELECT pg_terminate_backend(7);")
    }
}
