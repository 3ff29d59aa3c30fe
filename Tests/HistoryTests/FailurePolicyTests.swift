import Capture
import History
import JetStreamPublishing
import PGOutput
import PostgresReplication
import Testing
import WAL

@Suite struct FailurePolicyTests {
    private enum Kind: Equatable {
        case retry
        case standBy
        case stop(StopReason)
    }

    private static func kind(_ error: StreamerError) -> Kind {
        switch FailurePolicy.verdict(on: error) {
        case .retry: .retry
        case .standBy: .standBy
        case .stop(let reason, let remedy):
            // Whoever is stopped is told what to do.
            remedy.isEmpty ? .retry : .stop(reason)
        }
    }

    private static func kind(_ error: PostgresError) -> Kind { kind(.postgres(error)) }
    private static func kind(_ error: JetStreamError) -> Kind { kind(.jetStream(error)) }
    private static func kind(_ error: CaptureError) -> Kind { kind(.capture(error)) }

    private static func server(_ sqlState: String, _ message: String = "m") -> PostgresError {
        .server(sqlState: sqlState, severity: "ERROR", message: message, detail: nil, hint: nil, command: "c")
    }

    @Test func whatThePipelineSaysItself() {
        #expect(Self.kind(.stop(.streamPurged, what: "w", remedy: "r")) == .stop(.streamPurged))
        #expect(Self.kind(.decoding(.oversized(byteCount: 1), at: LSN(1))) == .stop(.unexpected))
        #expect(Self.kind(.system("no descriptors")) == .stop(.unexpected))
        #expect(Self.kind(.slotActive(SlotHolder(pid: 7))) == .standBy)
        for error in [
            StreamerError.serverShuttingDown, .streamMoved("m"), .checkpointConflict("c"), .cancelled,
        ] {
            #expect(Self.kind(error) == .retry)
        }
    }

    @Test(arguments: ["57P01", "57P02", "57P03"])
    func aServerThatStopsOrStartsIsWaitedFor(_ sqlState: String) {
        #expect(Self.kind(Self.server(sqlState)) == .retry)
        #expect(Self.kind(.connectionFailed(message: "m", sqlState: sqlState)) == .retry)
    }

    @Test func whoWeAreAndWhatWeMayAreNotRetried() {
        for sqlState in ["28000", "28P01"] {
            #expect(Self.kind(.connectionFailed(message: "m", sqlState: sqlState)) == .stop(.credentials))
        }
        #expect(Self.kind(Self.server("42501")) == .stop(.permissionPostgres))
        #expect(Self.kind(.connectionFailed(message: "m", sqlState: "3D000")) == .stop(.configuration))
        #expect(
            Self.kind(.connectionFailed(message: "SSL error: certificate verify failed", sqlState: nil)) == .stop(.tls))
    }

    @Test func aSlotInUseIsStoodByFor() {
        #expect(Self.kind(Self.server("55006")) == .standBy)
    }

    @Test func aSlotThatCannotBeReadAnyMoreIsLostHistory() {
        // Whatever language the server speaks: what 55000 means, the catalogue says at the next attempt.
        for message in ["can no longer get changes from replication slot \"s\"", "kann keine Änderungen mehr lesen", "wal_level"] {
            #expect(Self.kind(Self.server("55000", message)) == .retry)
        }
        #expect(
            Self.kind(.walRemoved(message: "das angeforderte WAL-Segment wurde schon entfernt", command: "c"))
                == .stop(.slotInvalidated))
        #expect(Self.kind(Self.server("58P01", "requested WAL segment 1 has already been removed")) == .retry)
        #expect(Self.kind(Self.server("42704")) == .retry)
    }

    @Test(arguments: ["08006", "40001", "53300", "53100", "57014", "58030", "XX000", "0A000", "25P04", "55P03",
    ])
    func whatPassesIsRetried(_ sqlState: String) {
        #expect(Self.kind(Self.server(sqlState)) == .retry)
    }

    /// Nothing of these passes by itself, and each is told in words of its own.
    @Test func whatOnlyAnOperatorCanMendStopsWithItsOwnRemedy() {
        let command = "CREATE_REPLICATION_SLOT \"s\" LOGICAL pgoutput"
        let noSlot = PostgresError.server(
            sqlState: "53400", severity: "ERROR", message: "m", detail: nil, hint: nil, command: command)
        let pooled = PostgresError.server(
            sqlState: "42601", severity: "ERROR", message: "m", detail: nil, hint: nil, command: "IDENTIFY_SYSTEM")
        let cases: [(StreamerError, StopReason, String)] = [
            (.postgres(noSlot), .configuration, "max_replication_slots"), (.postgres(pooled), .configuration, "pooler"),
            (.postgres(.connectionFailed(message: "m", sqlState: "08P01")), .configuration, "pooler"),
            (.postgres(.connectionStringInvalid(message: "m")), .configuration, "source.url"),
            (.postgres(.passwordMissing(message: "m")), .credentials, "source.url_file"),
            (.postgres(Self.server("25006")), .configuration, "default_transaction_read_only"),
            (.jetStream(.api(code: 503, errCode: 10_039, description: "d", operation: "o")), .configuration, "jetstream: enabled"),
            (.jetStream(.api(code: 503, errCode: 10_076, description: "d", operation: "o")), .configuration, "jetstream: enabled"),
            (.jetStream(.api(code: 400, errCode: 10_065, description: "d", operation: "o")), .configuration, "subject_prefix"),
        ]
        for (error, reason, word) in cases {
            guard case .stop(let found, let remedy) = FailurePolicy.verdict(on: error) else {
                Issue.record("\(error) is retried")
                continue
            }
            #expect(found == reason && remedy.contains(word), "\(error): \(remedy)")
        }
        // The same codes of other commands pass, or nobody foresaw them.
        #expect(Self.kind(Self.server("53400")) == .retry)
        #expect(Self.kind(Self.server("08P01")) == .retry)
    }

    @Test func aServerThatRestartsIsAskedAgainSoon() {
        for error in [
            StreamerError.serverShuttingDown, .postgres(.connectionFailed(message: "refused", sqlState: nil)),
            .postgres(.connectionFailed(message: "m", sqlState: "57P03")), .postgres(.connectionLost(message: "m")),
            .postgres(Self.server("57P01")),
        ] {
            #expect(FailurePolicy.retryLimit(after: error) == .seconds(1), "\(error)")
        }
        for error in [StreamerError.jetStream(.notConnected("n")), .postgres(.timedOut(command: "c")), .streamMoved("m")] {
            #expect(FailurePolicy.retryLimit(after: error) == .seconds(10), "\(error)")
        }
    }

    @Test(arguments: ["22P02", "42601", "55P02"])
    func whatNobodyForesawStops(_ sqlState: String) {
        #expect(Self.kind(Self.server(sqlState)) == .stop(.unexpected))
    }

    @Test func connectionsThatFailOrBreakAreMadeAgain() {
        #expect(Self.kind(.connectionFailed(message: "refused", sqlState: nil)) == .retry)
        #expect(Self.kind(.connectionFailed(message: "m", sqlState: "53300")) == .retry)
        #expect(Self.kind(.connectionLost(message: "EOF")) == .retry)
        #expect(Self.kind(.timedOut(command: "c")) == .retry)
        #expect(Self.kind(.protocolViolation(message: "m")) == .stop(.unexpected))
    }

    @Test func everyErrorOfJetStreams() {
        let verdicts: [(JetStreamError, Kind)] = [
            (.configuration("c"), .stop(.configuration)), (.authorization("a"), .stop(.credentials)),
            (.tls("t"), .stop(.tls)), (.permission("p"), .stop(.permissionNATS)), (.notConnected("n"), .retry),
            (.connectionClosed("c"), .retry), (.timedOut(operation: "o"), .retry),
            (.noResponders(operation: "o"), .retry),
            (.api(code: 503, errCode: 10_008, description: "d", operation: "o"), .retry),
            (.api(code: 500, errCode: 0, description: "d", operation: "o"), .retry),
            (.api(code: 429, errCode: 10_167, description: "d", operation: "o"), .retry),
            (.api(code: 408, errCode: 0, description: "d", operation: "o"), .retry),
            (.api(code: 400, errCode: 10_005, description: "no suitable peers", operation: "o"), .retry),
            (.api(code: 400, errCode: 10_052, description: "d", operation: "o"), .stop(.configuration)),
            (.payloadTooLarge(byteCount: 2, limit: 1), .retry),
            (.invalidMessage("i"), .stop(.poisonEvent)), (.malformedResponse(operation: "o"), .retry),
            (.client(status: "s", operation: "o"), .retry), (.wedged("w"), .stop(.unexpected)),
        ]
        for (error, kind) in verdicts { #expect(Self.kind(error) == kind, "\(error)") }
    }

    @Test func everyErrorOfCaptures() {
        let position = Position(commitLSN: LSN(1), ordinal: 1)
        #expect(Self.kind(.poison(.notUTF8(column: "c"), at: position, relation: "r")) == .stop(.poisonEvent))
        #expect(Self.kind(.poison(.entityIDNotUUID, at: position, relation: "r")) == .stop(.poisonEvent))
        #expect(Self.kind(.digestUnavailable(relation: "r", commitLSN: LSN(1))) == .stop(.unexpected))
        #expect(
            Self.kind(.historyDiverged(.message(LSN(1)), found: .nothing(upTo: LSN(2))))
                == .stop(.historyDiverged))
        #expect(Self.kind(.transactionShrank(stored: position, changeCount: 0)) == .stop(.historyDiverged))
        #expect(Self.kind(.protocolViolation("v", commitLSN: LSN(1))) == .stop(.unexpected))
        #expect(Self.kind(CaptureError.subjectTemplate("t")) == .stop(.configuration))
    }

    /// What is advised helps: a reference where it can be published, and something else where it is poison itself.
    @Test func theRemedyOfAPoisonEventIsOneThatHelps() throws {
        func remedy(_ reason: PoisonReason) throws -> String {
            let error = CaptureError.poison(reason, at: Position(commitLSN: LSN(1), ordinal: 1), relation: "r")
            guard case .stop(.poisonEvent, let remedy) = FailurePolicy.verdict(on: .capture(error)) else {
                throw StreamerError.system("\(reason) does not stop as poison")
            }
            return remedy
        }
        let advice = "events.on_poison = \"reference\""
        for reason in [PoisonReason.notUTF8(column: "c"), .malformedValue(column: "c", type: "bool")] {
            #expect(try remedy(reason).contains(advice))
        }
        let tooLarge = try remedy(.payloadTooLarge(sentByteCount: 2, limit: 1))
        #expect(tooLarge.contains(advice) && tooLarge.contains("max_payload"))
        for reason in [PoisonReason.subjectTooLong(byteCount: 2, limit: 1), .messageBody("m"), .entityIDNotUUID, .subjectReserved] {
            #expect(try !remedy(reason).contains(advice), "\(reason)")
            // Neither an exclusion nor a prefix less: both lose valid events silently.
            #expect(try remedy(reason).contains("quarantine") && !remedy(reason).contains("exclude"), "\(reason)")
        }
        #expect(try remedy(.subjectTooLong(byteCount: 2, limit: 1)).contains("events.subject"))
    }

    @Test func aClosedConnectionIsNotAskedAgainAndASlowOneIs() {
        #expect(!FailurePolicy.isWorthAsking(again: .connectionClosed("c")))
        #expect(!FailurePolicy.isWorthAsking(again: .permission("p")))
        #expect(FailurePolicy.isWorthAsking(again: .timedOut(operation: "o")))
        #expect(FailurePolicy.isWorthAsking(again: .notConnected("n")))
    }

    @Test func aCommandThatRunsOnceEndsWhereAStreamerWouldWait() {
        #expect(StreamerError.serverShuttingDown.oneShotOutcome.reason == .unreachable)
        #expect(StreamerError.slotActive(nil).oneShotOutcome.reason == .slotActive)
        #expect(StreamerError.postgres(Self.server("42501")).oneShotOutcome.reason == .permissionPostgres)
        let client = BackendClient(application: "psql", role: "app", address: "10.0.0.7", port: 4000, since: "2026-11-28T19:00:00Z")
        let held = StreamerError.slotActive(SlotHolder(pid: 4711, client: client))
        #expect("\(held)".contains("4711") && "\(held)".contains("psql of role app from 10.0.0.7:4000"))
        #expect(held.oneShotOutcome.remedy.contains("pg_terminate_backend(4711)"))
        let here = StreamerError.slotActive(SlotHolder(pid: 4711, client: client, localProcess: 815))
        #expect("\(here)".contains("process 815 of this machine"))
        #expect(here.oneShotOutcome.remedy.hasPrefix("Stop that process: kill 815."))
    }

    /// The contract's names and exit codes, and two of its exit codes that have none.
    @Test func everyReasonHasTheContractsNameAndExitCode() {
        let contract: [(Int32, String)] = [
            (
                73,
                "slot_missing slot_ahead slot_invalidated slot_unconfirmed history_diverged other_cluster options_changed stream_missing stream_recreated stream_purged stream_tail_lost bucket_missing position_ahead_of_wal publication_lost consumer_missing"
            ),
            (76, "other_writer foreign_message hole_found"), (65, "poison_event"), (77, "permission_postgres permission_nats"),
            (78, "slot_two_phase tls credentials configuration"), (70, "unexpected"), (69, "unreachable"),
            (75, "slot_active"),
        ]
        var codes: [String: Int32] = [:]
        for (code, names) in contract { for name in names.split(separator: " ") { codes[String(name)] = code } }
        for reason in StopReason.allCases {
            #expect(codes.removeValue(forKey: reason.rawValue) == reason.exitCode.rawValue, "\(reason)")
        }
        #expect(codes.isEmpty)
    }
}
