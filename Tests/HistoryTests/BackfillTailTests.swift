import Capture
import SeededRandom
import Testing
import WAL

@testable import History

/// What is stored of a run, folded from its messages' ids.
@Suite struct BackfillTailTests {
    private static let table: UInt32 = 16_384

    private static func id(_ place: BackfillPlace) -> MessageID {
        MessageID(
            systemID: 7, databaseOID: 5, timeline: 1, transactionID: TransactionID(70), position: Position(commitLSN: LSN(0x1000), ordinal: 3),
            kind: .backfilled(place))
    }

    private static func row(_ count: UInt64, run: UInt64 = 1, block: UInt32 = 0) -> BackfillPlace {
        BackfillPlace(run: run, count: count, tableOID: table, filenode: 9, block: block, offset: UInt16(count))
    }

    private static func end(_ count: UInt64) -> BackfillPlace { BackfillPlace(run: 1, count: count, tableOID: table, filenode: 9, block: .max) }
    private static func restart(_ count: UInt64) -> BackfillPlace { BackfillPlace(run: 1, count: count, tableOID: table, filenode: 9) }
    private static func begin(_ count: UInt64) -> BackfillPlace { BackfillPlace(run: 1, count: count) }

    private static func tail(_ messages: [(place: BackfillPlace, isMarker: Bool)]) -> BackfillTail {
        var tail = BackfillTail(run: 1)
        for message in messages { tail.take(id(message.place), isMarker: message.isMarker) }
        return tail
    }

    /// FNV-1a by the letter: of the text of each id, and a line feed behind it.
    private static func digest(_ places: [BackfillPlace]) -> String {
        var value: UInt64 = 0xcbf2_9ce4_8422_2325
        for place in places {
            for byte in Array("7.5.1.70.0000000000001000.3.b.\(place)\n".utf8) { value = (value ^ UInt64(byte)) &* 1_099_511_628_211 }
        }
        let text = String(value, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }

    @Test func countsTheRowsOfThePassThatIsUnderWay() {
        let rows = [2, 3, 4].map { Self.row($0) }
        var messages = [(Self.begin(1), true)] + rows.map { ($0, false) }
        var tail = Self.tail(messages)
        #expect(tail.rows == 3 && tail.finishedRows == 0 && tail.count == 4 && tail.place == rows[2] && tail.hasHole == nil)
        #expect(tail.digest.description == Self.digest(rows))
        messages.append((Self.end(5), true))
        tail = Self.tail(messages)
        #expect(tail.rows == 0 && tail.finishedRows == 3 && tail.digest.description == "cbf29ce484222325")
        messages += [(Self.row(6), false), (Self.restart(7), true), (Self.row(8), false)]
        tail = Self.tail(messages)
        // What came before a table began anew counts no longer.
        #expect(tail.rows == 1 && tail.finishedRows == 3 && tail.digest.description == Self.digest([Self.row(8)]))
        // The stream lost rows, and the run begins anew.
        tail = Self.tail(messages + [(Self.begin(9), true), (Self.row(10), false), (Self.end(11), true)])
        #expect(tail.rows == 0 && tail.finishedRows == 1 && tail.count == 11)
    }

    @Test func whatIsAnEarlierOneOrAnotherRunsIsPassedOver() {
        let before = Self.tail([(Self.begin(1), true), (Self.row(2), false), (Self.row(3), false)])
        var tail = before
        for place in [Self.row(3), Self.row(2), Self.begin(1), Self.row(4, run: 2)] { tail.take(Self.id(place), isMarker: place.tableOID == 0) }
        tail.take(MessageID(systemID: 7, databaseOID: 5, timeline: 1, transactionID: TransactionID(1), position: Position(commitLSN: LSN(1), ordinal: 1)), isMarker: false)
        #expect(tail == before)
    }

    /// A number that is missing is perhaps a row of the pass, until a marker tells that another one begins.
    @Test func aNumberThatIsMissingIsAHole() {
        #expect(Self.tail([(Self.begin(1), true), (Self.row(3), false)]).hasHole == true)
        #expect(Self.tail([(Self.begin(1), true), (Self.row(3), false), (Self.row(4), false)]).hasHole == true)
        #expect(Self.tail([(Self.row(2), false), (Self.restart(3), true), (Self.row(4), false)]).hasHole == nil)
        #expect(Self.tail([(Self.begin(1), true), (Self.end(3), true)]).hasHole == true)
    }

    @Test func aFoldThatIsGoneOnWithIsTheSame() throws {
        var random = SplitMix64(seed: 7)
        for round in 0..<200 {
            var tail = BackfillTail(run: 1)
            var rows: [BackfillPlace] = []
            var finishedCount = 0
            var count: UInt64 = 0
            for _ in 0..<Int.random(in: 1...40, using: &random) {
                count += 1
                switch Int.random(in: 0..<8, using: &random) {
                case 0:
                    tail.take(Self.id(Self.end(count)), isMarker: true)
                    finishedCount += rows.count
                    rows = []
                case 1:
                    tail.take(Self.id(Self.restart(count)), isMarker: true)
                    rows = []
                default:
                    rows.append(Self.row(count, block: UInt32.random(in: 0...9, using: &random)))
                    tail.take(Self.id(rows[rows.count - 1]), isMarker: false)
                }
                var record = CheckpointRecordTests.record
                record.backfill = BackfillProgressTests.progress()
                record.backfill?.stored = tail
                tail = try #require(CheckpointRecord(json: record.json()).backfill?.stored)
            }
            #expect(tail.rows == UInt64(rows.count) && tail.finishedRows == UInt64(finishedCount) && tail.count == count, "round \(round)")
            #expect(tail.digest.description == Self.digest(rows), "round \(round)")
        }
    }

    @Test func aDigestIsReadAsItIsWritten() {
        // Whoever computes it elsewhere: FNV-1a of "a", and of nothing.
        var digest = BackfillDigest()
        #expect(digest.description == "cbf29ce484222325" && BackfillDigest("cbf29ce484222325") == digest)
        digest.take(Array("7.5.1.70.0000000000001000.3.b.1.2.16384.9.0.2".utf8).span)
        #expect(BackfillDigest(digest.description) == digest && BackfillDigest("0000000000000001")?.description == "0000000000000001")
        for text in ["", "1", "cbf29ce48422232", "cbf29ce4842223255", "cbf29ce48422232g", "-bf29ce484222325"] { #expect(BackfillDigest(text) == nil, "\(text)") }
    }
}
