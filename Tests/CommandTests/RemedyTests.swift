import Capture
import History
import JetStreamPublishing
import PGOutput
import PostgresReplication
import Testing
import WAL

@testable import Pipeline

/// What the operator is told to do, for every reason and every error that can be made here; the texts in the sources are `SourceTextTests`' business.
@Suite struct RemedyTests {
    @Test(arguments: StopReason.allCases)
    func ofLostHistory(_ reason: StopReason) {
        #expect(PlainLanguage.faults(inRemedy: LostHistory.remedy(for: reason)) == [])
        #expect(PlainLanguage.faults(inRemedy: LostHistory.remedyIfForged(reason)) == [])
    }

    @Test(arguments: [
        LostHistory.remedyForMissingRecord(adoptedBy: "slotstream setup --adopt-slot"), LostHistory.remedyForRemovedWAL,
        LostHistory.remedyForEmptiedStream, StreamHole.remedy,
    ])
    func ofWhatIsParticular(_ remedy: String) {
        #expect(PlainLanguage.faults(inRemedy: remedy) == [])
    }

    @Test(arguments: [
        SlotObstacle.Kind.publicationMissing, .undecodable(sqlState: "22P05", message: "m"),
        .undecodable(sqlState: "22021", message: "m"), .undecodable(sqlState: "54000", message: "m"),
    ])
    func ofAnObstacle(_ kind: SlotObstacle.Kind) {
        #expect(PlainLanguage.faults(inRemedy: SlotObstacle(kind, SlotProgress(startLSN: LSN(1))).remedy) == [])
    }

    /// Every case, and of those with a code every code that is told from others.
    static let errors: [StreamerError] =
        postgres.map { .postgres($0) } + jetStream.map { .jetStream($0) } + capture.map { .capture($0) } + [
            .decoding(.oversized(byteCount: 1), at: LSN(1)), .serverShuttingDown, .walHeldUp(slot: "s", status: "unreserved"),
            .streamMoved("the stream no longer exists"), .slotActive(SlotHolder(pid: 7, localProcess: 815)), .slotActive(nil),
            .checkpointConflict("the checkpoint record disappeared"), .system("cannot make a pipe: Too many open files"), .cancelled,
        ]

    private static let postgres: [PostgresError] =
        [
            "28P01", "28000", "42501", "3D000", "53300", "25006", "55000", "55006", "55P03", "42704", "57P01", "57P03", "40001", "XX000",
            "42601", "08P01",
        ].flatMap { sqlState in
            [
                PostgresError.server(
                    sqlState: sqlState, severity: "ERROR", message: "a message", detail: "a detail", hint: nil, command: "SELECT 1"),
                .connectionFailed(message: "FATAL:  \(sqlState): a message", sqlState: sqlState),
            ]
        } + [
            .connectionFailed(message: "Connection refused\n\tIs the server running on that host?", sqlState: nil),
            .connectionFailed(message: "SSL error: certificate verify failed", sqlState: nil), .connectionLost(message: "closed"),
            .connectionStringInvalid(message: "missing \"=\""), .passwordMissing(message: "fe_sendauth: no password supplied"),
            .walRemoved(message: "requested WAL segment 0 has already been removed", command: "START_REPLICATION"),
            .protocolViolation(message: "cannot read the answer"), .timedOut(command: "SELECT 1"),
            .server(
                sqlState: "53400", severity: "ERROR", message: "all replication slots are in use", detail: nil, hint: nil,
                command: "CREATE_REPLICATION_SLOT s"),
        ]

    private static let jetStream: [JetStreamError] =
        [
            .configuration("no"), .authorization("no"), .tls("no"), .permission("no"), .notConnected("no"), .connectionClosed("no"),
            .timedOut(operation: "o"), .noResponders(operation: "o"), .payloadTooLarge(byteCount: 2, limit: 1),
            .invalidMessage("a subject of 3 bytes"), .malformedResponse(operation: "o"), .client(status: "no", operation: "o"),
            .wedged("connecting does not end"),
        ]
        + [
            (500, 10_023), (503, 10_076), (400, 10_039), (400, 10_065), (400, JetStreamErrorCode.storageResourcesExceeded),
            (400, JetStreamErrorCode.accountResourcesExceeded), (400, JetStreamErrorCode.noSuitablePeers),
            (400, JetStreamErrorCode.messageTooLarge), (400, JetStreamErrorCode.replicasNotSupported),
        ].flatMap { code, errCode in
            ["$JS.API.STREAM.CREATE.s", "shop.Order.INSERT"].map {
                JetStreamError.api(code: code, errCode: errCode, description: "a description", operation: $0)
            }
        }

    private static let capture: [CaptureError] =
        [
            PoisonReason.notUTF8(column: "c"), .payloadTooLarge(sentByteCount: 2, limit: 1),
            .subjectTooLong(byteCount: 2, limit: 1), .subjectReserved, .malformedValue(column: "c", type: "bool"),
            .messageBody("operation is missing"), .entityIDNotUUID,
        ].map { .poison($0, at: Position(commitLSN: LSN(0x16B_3748), ordinal: 3), relation: "public.tb_order") } + [
            .historyDiverged(.message(LSN(1)), found: .nothing(upTo: LSN(2))),
            .transactionShrank(stored: Position(commitLSN: LSN(1), ordinal: 2), changeCount: 1),
            .protocolViolation("a Begin inside a transaction", commitLSN: LSN(1)), .subjectTemplate("the subject template is empty"),
            .digestUnavailable(relation: "public.tb_order", commitLSN: LSN(1)),
        ]

    @Test(arguments: errors.indices)
    func ofAnError(_ index: Int) {
        let error = Self.errors[index]
        #expect(PlainLanguage.faults(inRemedy: error.oneShotOutcome.remedy) == [])
        switch FailurePolicy.verdict(on: error) {
        case .retry(let hint): #expect(PlainLanguage.faults(inRemedy: hint) == [])
        case .standBy: break
        case .stop(_, let remedy): #expect(!remedy.isEmpty && PlainLanguage.faults(inRemedy: remedy) == [])
        }
    }

    @Test(arguments: errors.indices)
    func anErrorIsOneLineAndNamesNothingTwice(_ index: Int) {
        let text = "\(Self.errors[index])"
        #expect(!text.contains("\n"))
        #expect(PlainLanguage.faults(in: text) == [])
    }

    @Test func ofARefusal() {
        for errCode in 10_000...10_300 {
            guard case .waiting(_, let hint) = RefusalCause.of(errCode) else { continue }
            #expect(PlainLanguage.faults(inRemedy: hint) == [], "\(errCode)")
        }
    }

    /// The checks see what they are for.
    @Test(arguments: [
        "Run `slotstream rewind`", "What was lost is lost", "Nothing was lost. Who dropped it must know", "Drop it",
        "Run slotstream setup", "Run\nthis", "Set source.slot. Set source.slot", "Not supported by now", "the the slot",
        "PostgreSQL: cannot connect to PostgreSQL", "`slotstream slot advance --accept`",
    ])
    func aBadTextIsSeen(_ text: String) {
        #expect(PlainLanguage.faults(inRemedy: text) != [])
    }
}
