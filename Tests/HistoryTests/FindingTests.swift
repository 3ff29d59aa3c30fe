import FoundationEssentials
import JetStreamPublishing
import PostgresReplication
import Testing

@testable import History

/// What is found, from the facts: its id, what it says and what mends it.
@Suite struct FindingTests {
    /// One of each, with what identifies it in the list of `slotstream check`.
    private static let findings: [(finding: Finding, id: String, severity: Finding.Severity, object: String)] = [
        (.walLevel("replica"), "E001", .error, "wal_level"),
        (.noFreeSlot(limit: 0, idleCount: "0"), "E002", .error, "max_replication_slots"),
        (.noFreeSlot(limit: 10, idleCount: "3"), "E002", .error, "max_replication_slots"),
        (.waitsForTransaction("process 7"), "W037", .warning, "slot"),
        (.connectionOpenToOthers("NATS", exposure: "no TLS", fix: "write tls://"), "W009", .warning, "NATS"),
        (.unmatched(["public.x"], isNoneMatched: true, near: [], others: [], database: "d"), "E010", .error, "source.tables"),
        (.unmatched(["public.x"], isNoneMatched: false, near: ["public.y"], others: [], database: "d"), "E011", .error, "source.tables"),
        (.publicationMissing("p", state: "but slot s does"), "E015", .error, "publication p"),
        (.publicationEmpty("p"), "E017", .error, "publication p"),
        (.tablesNotPublished(["public.a"], publication: "p")[0], "W018", .warning, "publication p"),
        (.publishedByPartition(["public.a"], publication: "p")[0], "W020", .warning, "publication p"),
        (.ruleNamesNothing("[events.identity]", severity: .warning, "no such table", fix: "Correct it"), "W042", .warning, "[events.identity]"),
        // What keeps a column from being published stops the streamer.
        (.ruleNamesNothing("[events.columns]", severity: .error, "no such table", fix: "Correct it"), "W042", .error, "[events.columns]"),
        (.rowsBeforeSlot("s", "rows that were committed before 0/1 are not published: 3 in 1 tables"), "I044", .note, "slot s"),
        (.storageLimit(1, version: "2.9.25"), "W058", .error, "nats-server"),
        (.permissionsMissing(["p.>", "$KV.slotstream.S"], NATSRights(stream: "S", prefix: "p", consumer: nil)), "E028", .error, "NATS user"),
        (
            .lesserPermissionsMissing([("$JS.API.INFO", "the room is not known")], NATSRights(stream: "S", prefix: "p", consumer: nil)) ?? .configurationWrong([]),
            "W065", .warning, "NATS user"
        ),
        (.subjectsTaken("p.>", of: "S", by: ["other"]), "E029", .error, "stream S"),
        (.noAtomicBatches("S", canServer: true), "W063", .warning, "stream S"),
        (.recordLessSafe("slotstream", "num_replicas is 1", why: "the record can be lost", edit: "--replicas=3"), "W033", .warning, "bucket slotstream"),
        (.consumerDiffers("c", of: "S", key: "max_deliver", found: "3", wanted: "5"), "W063", .warning, "consumer c"),
        (.secretOpenToOthers(file: "/etc/slotstream/url", key: "source.url_file"), "W041", .warning, "/etc/slotstream/url"),
        (.configurationWrong(["slotstream.toml:4: log.level must be …"]), "E060", .error, "configuration"),
    ]

    @Test(arguments: findings.indices)
    func saysWhatItIsAndHowBad(_ index: Int) {
        let (finding, id, severity, object) = Self.findings[index]
        #expect(finding.id.rawValue == id && finding.severity == severity && finding.object == object)
        #expect(!finding.message.isEmpty && !finding.message.hasSuffix(".") && !finding.fix.hasSuffix("."))
        // What only informs, and a wait that names the command itself, have nothing to mend.
        #expect(finding.fix.isEmpty == (["I044", "W037"].contains(id)))
        #expect(finding.note.hasPrefix(finding.sentence) && finding.note.hasSuffix(finding.fix))
    }

    /// Released names never change, and say by their letter how bad it is.
    @Test func idsAreOfOneForm() {
        for id in FindingID.allCases { #expect(id.rawValue.wholeMatch(of: /[EWI]0[0-9]{2}/) != nil, "\(id)") }
        #expect(FindingID.noReplicaIdentity.severity == .error && FindingID.rowsBeforeSlot.severity == .note)
    }

    /// Whoever reads the list of them all is told something of each.
    @Test func eachSaysWhatItIsAndWhy() {
        for id in FindingID.allCases { #expect(!id.title.isEmpty && !id.meaning.isEmpty, "\(id)") }
        #expect(Set(FindingID.allCases.map(\.title)).count == FindingID.allCases.count)
    }

    @Test func aClauseFollowsAColonAndASentenceAFullStop() {
        #expect(Finding.publicationEmpty("p").sentence == "publication p has no table: no change is published")
        let unidentified = Finding.Unidentified(name: "public.a", fault: .missing, statement: nil)
        #expect(
            Finding.unidentified([unidentified], arePublished: true).map(\.note)
                == ["public.a has no replica identity. UPDATE and DELETE of it fail in the application. Give the table a primary key"])
        #expect(Finding.walLevel("minimal").sentence == "PostgreSQL cannot make a logical slot: wal_level is minimal")
    }

    @Test func eachFaultOfReplicaIdentitiesIsAFindingOfItsOwn() {
        let tables = [
            Finding.Unidentified(name: "public.a", fault: .missing, statement: "ALTER TABLE public.a REPLICA IDENTITY FULL"),
            Finding.Unidentified(name: "public.b", fault: .missing, statement: nil),
            Finding.Unidentified(name: "public.c", fault: .uncovered, statement: nil),
            Finding.Unidentified(name: "public.d", fault: .generated, statement: "ALTER TABLE public.d REPLICA IDENTITY FULL"),
        ]
        let found = Finding.unidentified(tables, arePublished: false)
        #expect(found.map(\.id) == Array(repeating: .noReplicaIdentity, count: 3))
        #expect(found.map(\.object) == ["2 tables", "public.d", "public.c"])
        #expect(found[1].fix.hasPrefix("Run as the table's owner: ALTER TABLE public.d REPLICA IDENTITY FULL. Or publish it as it is"))
        #expect(Finding.unidentified([], arePublished: true) == [])
    }

    // MARK: - Streams

    private static func differences(_ settings: String) throws -> [StreamDifference] {
        let json = #"{"name":"S","subjects":["p.>"],"retention":"limits","storage":"file"\#(settings)}"#
        let found = try JSONDecoder().decode(StreamInfo.Config.self, from: Data(json.utf8))
        return StreamDifference.compare(found, StreamConfiguration(name: "S", subjectPrefix: "p", duplicateWindow: .seconds(300)))
    }

    @Test func aStreamThatBreaksTheGuaranteeIsOneFindingAndEachOtherDifferenceIsOne() throws {
        let differences = try Self.differences(#","duplicate_window":120000000000,"max_age":3600000000000,"sealed":true,"allow_rollup_hdrs":true"#)
        let refusal = try #require(Finding.streamBreaksGuarantee("S", differences))
        #expect(refusal.id == .streamBreaksGuarantee)
        #expect(refusal.sentence == "stream S cannot be used: sealed is true, must be false; allow_rollup_hdrs is true, must be false")
        #expect(Finding.streamBreaksGuarantee("S", differences.filter { $0.severity == .warn }) == nil)
        let window = try #require(differences.first { $0.key == "duplicate_window" })
        let told = Finding.streamDiffers("S", window)
        #expect(told.id == .duplicateWindow && told.fix == "To change the stream: nats stream edit S --dupe-window=300s")
        let age = try #require(differences.first { $0.key == "max_age" })
        #expect(Finding.streamDiffers("S", age).id == .differsFromConfiguration)
    }

    /// Whatever differs, it is said what follows and how it is changed.
    @Test func everyDifferenceHasAConsequence() throws {
        let differences = try Self.differences(
            #","discard":"new","max_msgs":7,"max_msg_size":7,"discard_new_per_subject":true,"max_msgs_per_subject":7,"num_replicas":3,"allow_direct":false,"max_bytes":7,"allow_atomic":true,"allow_batched":true,"duplicate_window":1,"max_age":1"#)
        let warned = differences.filter { $0.severity == .warn }
        #expect(warned.count >= 10, "\(warned.map(\.key))")
        for difference in warned {
            let finding = Finding.streamDiffers("S", difference)
            #expect(finding.why != "The stream works otherwise than configured" && finding.fix.contains("S") || finding.fix.hasPrefix("Set "), "\(difference.key)")
        }
    }

    // MARK: - Errors

    private static func server(_ sqlState: String, _ command: String = "SELECT 1") -> StreamerError {
        .postgres(.server(sqlState: sqlState, severity: "ERROR", message: "a message", detail: nil, hint: nil, command: command))
    }

    private static func api(_ errCode: Int, code: Int = 400) -> StreamerError {
        .jetStream(.api(code: code, errCode: errCode, description: "no", operation: "$JS.API.STREAM.CREATE.S"))
    }

    /// What ends a command or a streamer is the finding that `check` would have had beforehand.
    @Test func anErrorIsTheFindingThatCheckHas() {
        let errors: [(StreamerError, String?)] = [
            (.postgres(.passwordMissing(message: "fe_sendauth: no password supplied")), "E007"),
            (.postgres(.connectionFailed(message: "FATAL:  password authentication failed", sqlState: "28P01")), "E007"),
            (.postgres(.connectionFailed(message: "FATAL:  must be superuser or replication role", sqlState: "42501")), "E006"),
            (Self.server("53400", "CREATE_REPLICATION_SLOT \"s\" LOGICAL pgoutput"), "E002"), (Self.server("53400"), nil),
            (.postgres(.connectionFailed(message: "Connection refused", sqlState: nil)), nil),
            (Self.api(JetStreamErrorCode.subjectsOverlap), "E029"), (Self.api(JetStreamErrorCode.storageResourcesExceeded), "E023"),
            (Self.api(JetStreamErrorCode.accountResourcesExceeded), "E023"), (.jetStream(.permission("no")), "E028"),
            (.jetStream(.timedOut(operation: "o")), nil),
            (.stop(.slotTwoPhase, what: "w", remedy: "r"), "E022"), (.stop(.slotMissing, what: "w", remedy: "r"), "E022"),
            (.stop(.publicationLost, what: "w", remedy: "r"), "E016"), (.stop(.foreignMessage, what: "w", remedy: "r"), "E030"),
            (.stop(.streamPurged, what: "w", remedy: "r"), "E064"), (.stop(.holeFound, what: "w", remedy: "r"), nil), (.slotActive(nil), nil), (.cancelled, nil),
            (.found(.configuration, [.walLevel("replica"), .publicationEmpty("p")]), "E001 E017"),
        ]
        for (error, ids) in errors { #expect(error.findingIDs == ids, "\(error)") }
    }

    /// A refusal of several says all of them, with the reason and the exit code that it has.
    @Test func aRefusalSaysAllThatWasFound() {
        let error = StreamerError.found(.configuration, [.walLevel("replica"), .publicationEmpty("p")])
        #expect("\(error)" == "PostgreSQL cannot make a logical slot: wal_level is replica. publication p has no table: no change is published")
        let remedy = "\(Finding.walLevel("replica").fix). \(Finding.publicationEmpty("p").fix)"
        #expect(FailurePolicy.verdict(on: error) == .stop(.configuration, remedy: remedy))
        #expect(error.oneShotOutcome.reason == .configuration && RetryReason.of(error) == "configuration")
    }

    @Test func aNoteShowsTheIDOfItsFinding() {
        #expect(Note.finding(.publicationEmpty("p")).line.hasSuffix("[E017]"))
        #expect(Note("whatever").line == "whatever" && Note("whatever").id == nil)
    }
}
