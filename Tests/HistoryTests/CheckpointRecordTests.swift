import Capture
import History
import HistoryFacts
import Testing
import WAL

@Suite struct CheckpointRecordTests {
    @Test(arguments: [RecoveryFacts.record(), RecoveryFacts.record(confirmed: .invalid, lastID: nil, lastSequence: 0)])
    func readsBackWhatItWrote(_ record: CheckpointRecord) throws {
        #expect(try CheckpointRecord(json: record.json()) == record)
    }

    @Test func isWrittenAsOneObjectWithSortedSnakeCaseNames() {
        let text = String(decoding: RecoveryFacts.record().json(), as: UTF8.self)
        #expect(
            text == """
                {"confirmed_lsn":"0/1040","genesis":{"at":"2026-11-23T07:00:00.000000+00:00","kind":"created","lsn":"0/800"},\
                "last_id":"7.5.1.70.0000000000001000.3","last_sequence":100,"options":"publications=p exclude=","owner":"o",\
                "schema":"slotstream.checkpoint/1","slot":"s","stream":"S","stream_created":"2026-11-23T07:00:00Z",\
                "system_id":"7","timeline":1}
                """)
    }

    @Test func tellsItsPositionsAsValues() {
        let record = RecoveryFacts.record()
        #expect(record.confirmedLSN == LSN(0x1040))
        #expect(record.lastMessageID == RecoveryFacts.id())
        #expect(!record.isClaim)
        #expect(RecoveryFacts.record(kind: CheckpointRecord.claimKind).isClaim)
    }

    @Test func aPositionThatIsNoneConfirmsNothing() {
        var record = RecoveryFacts.record()
        record.confirmedLsn = "everything"
        record.lastId = "the last"
        #expect(record.confirmedLSN == .invalid)
        #expect(record.lastMessageID == nil)
    }

    @Test(arguments: ["", "{}", "[]", "null", #"{"schema":"slotstream.checkpoint/1"}"#])
    func whatIsNoRecordIsRefused(_ text: String) {
        #expect(throws: (any Error).self) { try CheckpointRecord(json: Array(text.utf8)) }
    }

    @Test(arguments: ["\"last_sequence\":9223372036854775808", "\"last_sequence\":18446744073709551615,\"settled_sequence\":1",
        "\"last_sequence\":1,\"settled_sequence\":18446744073709551615"])
    func aSequenceThatNoStreamReachesIsRefused(_ members: String) {
        let text = String(decoding: RecoveryFacts.record().json(), as: UTF8.self)
        #expect(throws: CheckpointRecord.Implausible.self) {
            try CheckpointRecord(json: Array(text.replacing("\"last_sequence\":100", with: members).utf8))
        }
    }

    @Test func everyCutOfARecordIsRefused() {
        let json = RecoveryFacts.record().json()
        for count in 0..<json.count {
            #expect(throws: (any Error).self) { try CheckpointRecord(json: Array(json[..<count])) }
        }
    }

    @Test func membersOfALaterVersionAreNotMinded() throws {
        let json = String(decoding: RecoveryFacts.record().json(), as: UTF8.self).dropLast() + #","anchor":"a"}"#
        #expect(try CheckpointRecord(json: Array(json.utf8)) == RecoveryFacts.record())
    }

    // MARK: - What was passed over

    private static func skip(_ id: MessageID) -> AcceptedSkip {
        AcceptedSkip(id: id, random: 7, acceptedBy: "ann", acceptedAt: "2026-11-23T07:00:00.000000+00:00")
    }

    private static func add(_ id: MessageID, to record: inout CheckpointRecord) -> Bool { record.add(skip(id)) }

    @Test func whatWasPassedOverIsReadBackAndKnownByItsIDWhateverItsKind() throws {
        var record = RecoveryFacts.record()
        let next = RecoveryFacts.id(LSN(0x2000), 2)
        try #require(Self.add(next, to: &record))
        let read = try CheckpointRecord(json: record.json())
        #expect(read == record && read.acceptedSkips == [Self.skip(next)] && read.knownEnd.skips == [Self.skip(next)])
        #expect(read.hasSkip(of: RecoveryFacts.id(LSN(0x2000), 2, kind: .marker)))
        for other in [
            RecoveryFacts.id(LSN(0x2000), 1), RecoveryFacts.id(LSN(0x2000), 2, xid: 71), RecoveryFacts.id(LSN(0x2000), 2, timeline: 2),
        ] { #expect(!read.hasSkip(of: other)) }
        #expect(!read.hasStored(next) && read.hasStored(RecoveryFacts.id()))
    }

    @Test func onlyWhatMayBeDecodedAgainIsKept() throws {
        var record = RecoveryFacts.record()
        let confirmed = RecoveryFacts.id(LSN(0x800), 1, xid: 60)
        for id in [confirmed, RecoveryFacts.id(), RecoveryFacts.id(LSN(0x2000), 1)] { try #require(Self.add(id, to: &record)) }
        // The stream's last message is what a server has to prove its history with.
        #expect(record.acceptedSkips.map(\.id) == [RecoveryFacts.id(), RecoveryFacts.id(LSN(0x2000), 1)])
        for ordinal in 2..<UInt64(CheckpointRecord.skipLimit) {
            try #require(Self.add(RecoveryFacts.id(LSN(0x2000), ordinal), to: &record))
        }
        #expect(!Self.add(RecoveryFacts.id(LSN(0x2000), 1_000), to: &record))
        #expect(record.acceptedSkips.count == CheckpointRecord.skipLimit)
    }
}
