import Capture
import History
import Testing
import WAL

/// What a run's messages prove by themselves: whatever is lost, doubled or moved is found, and nothing else.
@Suite struct BackfillProofTests {
    private static let table: UInt32 = 16_384
    private static let other: UInt32 = 16_500

    private struct Stored {
        var subject: String
        var id: String
        var body = "{}"
    }

    /// Makes a stream, message by message, as a streamer does.
    private struct Stream {
        var messages: [Stored] = []
        var position: UInt64 = 0
        var run: UInt64 = 1
        var count: UInt64 = 0
        var tally: (rows: UInt64, digest: BackfillDigest) = (0, BackfillDigest())

        private var event: String {
            let digits = String(position * 16, radix: 16, uppercase: true)
            return "7.5.1.\(position + 700)." + String(repeating: "0", count: 16 - digits.count) + digits + ".1"
        }

        mutating func add(event count: UInt64 = 1) {
            for _ in 0..<count {
                position += 1
                messages.append(Stored(subject: "p.Order.INSERT", id: event))
            }
        }

        private mutating func next(_ oid: UInt32) -> String {
            count += 1
            return "\(event).b.\(run).\(count).\(oid).\(oid).0.\(count)"
        }

        mutating func add(rows: UInt64, of oid: UInt32 = BackfillProofTests.table) {
            for _ in 0..<rows {
                let id = next(oid)
                tally.rows += 1
                tally.digest.take(Array(id.utf8).span)
                messages.append(Stored(subject: "p.Order.READ", id: id))
            }
        }

        mutating func add(_ event: BackfillMarker.Backfill.Event, of oid: UInt32? = nil, rows: Int = 0) {
            var marker = BackfillMarker.Backfill(id: run, event)
            marker.oid = oid
            if event == .table {
                marker.table = "public.tb_order"
                marker.rows = UInt64(Int(tally.rows) + rows)
                marker.digest = tally.digest.description
            }
            let id = next(oid ?? 0)
            let body = BackfillMarker(id: id, timestamp: "2026-11-23T07:09:12.123456+00:00", backfill: marker).json()
            messages.append(Stored(subject: "p._slotstream.BACKFILL", id: id, body: String(decoding: body, as: UTF8.self)))
            tally = (0, BackfillDigest())
        }
    }

    /// Two tables in run 1, of which the first began anew; then run 2; events among them. The indices of some of its messages are the tests' business.
    private static var stream: Stream {
        var stream = Stream()
        stream.add(event: 2)  // 0, 1
        stream.add(.begin)  // 2
        stream.add(rows: 3)  // 3 to 5
        stream.add(event: 1)  // 6
        stream.add(.restart, of: table)  // 7
        stream.add(rows: 4)  // 8 to 11
        stream.add(.table, of: table)  // 12
        stream.add(rows: 2, of: other)  // 13, 14
        stream.add(event: 1)  // 15
        stream.add(rows: 2, of: other)  // 16, 17
        stream.add(.table, of: other)  // 18
        stream.add(.end)  // 19
        stream.add(event: 2)  // 20, 21
        stream.run = 2
        stream.count = 0
        stream.add(.begin)  // 22
        stream.add(.whole, of: table)  // 23
        stream.add(rows: 2)  // 24, 25
        stream.add(.table, of: table)  // 26
        stream.add(.cancelled)  // 27
        stream.add(event: 1)  // 28
        return stream
    }

    private static func faults(of messages: [Stored], isFromBeginning: Bool = true) throws -> [BackfillProof.Fault] {
        var proof = BackfillProof(isFromBeginning: isFromBeginning)
        var faults: [BackfillProof.Fault] = []
        for (index, stored) in messages.enumerated() {
            let id = try #require(MessageID(stored.id))
            let sequence = UInt64(index) + 1
            if id.kind == .event {
                faults += proof.event(id, sequence: sequence, subject: stored.subject).map { [$0] } ?? []
            } else {
                let message = BackfillProof.Message(sequence: sequence, subject: stored.subject, id: id, idText: stored.id)
                faults += proof.take(message) { Array(stored.body.utf8) }
            }
        }
        return faults + proof.finish()
    }

    @Test func whatIsInOrderIsProven() throws {
        let messages = Self.stream.messages
        #expect(try Self.faults(of: messages) == [])
        // Wherever the stream begins by now, or the reading does.
        for index in messages.indices { #expect(try Self.faults(of: Array(messages[index...]), isFromBeginning: false) == [], "\(index)") }
        // And wherever it ends: a run may be under way.
        for index in messages.indices { #expect(try Self.faults(of: Array(messages[..<index])) == [], "\(index)") }
    }

    @Test func whateverIsLostIsFound() throws {
        let messages = Self.stream.messages
        for index in messages.indices where messages[index].id.contains(".b.") {
            var rest = messages
            rest.remove(at: index)
            // A row of a pass that was given up comes again, if it is known to be of that table; behind a run's last message no number tells.
            let isFree = [4, 5, 19, 27].contains(index)
            #expect(try Self.faults(of: rest).isEmpty == isFree, "\(index)")
        }
        #expect(try Self.faults(of: messages.filter { $0.id != messages[9].id }).map(\.sequence) == [10, 12])
        #expect(
            try Self.faults(of: messages.filter { $0.id != messages[9].id }).map(\.expected)[0] == "number 7 of run 1")
    }

    @Test func whateverIsDoubledIsFound() throws {
        let messages = Self.stream.messages
        for index in messages.indices where messages[index].id.contains(".b.") {
            for place in [index + 1, min(index + 3, messages.count), messages.count] {
                var more = messages
                more.insert(messages[index], at: place)
                let faults = try Self.faults(of: more)
                #expect(faults.count == 1 && faults.first?.sequence == UInt64(place) + 1, "\(index) at \(place): \(faults)")
            }
        }
    }

    @Test func whateverIsMovedIsFound() throws {
        let messages = Self.stream.messages
        for index in messages.indices.dropLast() where (messages[index].id + messages[index + 1].id).contains(".b.") {
            var others = messages
            others.swapAt(index, index + 1)
            #expect(try !Self.faults(of: others).isEmpty, "\(index)")
        }
    }

    @Test(arguments: [-1, 1])
    func aMarkersCountThatIsOffByOneIsFound(_ difference: Int) throws {
        var stream = Stream()
        stream.add(event: 1)
        stream.add(.begin)
        stream.add(rows: 3)
        stream.add(.table, of: Self.table, rows: difference)
        let faults = try Self.faults(of: stream.messages)
        #expect(faults.count == 1 && faults.first?.sequence == 6)
        #expect(faults.first?.expected.hasPrefix("\(3 + difference) rows, digest ") ?? false)
        #expect(faults.first?.found.hasPrefix("3 rows, digest ") ?? false)
    }

    @Test func aDigestOfOtherRowsIsFound() throws {
        var messages = Self.stream.messages
        // The walk stood elsewhere, and only the marker tells.
        messages[25].id = messages[25].id.replacing(".0.4", with: ".0.9")
        let faults = try Self.faults(of: messages)
        #expect(faults.map(\.sequence) == [27])
    }

    @Test func aMarkerOfAnotherRunOrOfNobodyIsFound() throws {
        var messages = Self.stream.messages
        messages[12].body = messages[12].body.replacing(#""id":"1""#, with: #""id":"2""#)
        #expect(try Self.faults(of: messages).map(\.sequence) == [13])
        messages[12].body = "x"
        #expect(try Self.faults(of: messages).map(\.sequence) == [13])
    }

    @Test func whatTheStreamsLimitsRemoveMeanwhileIsNotMissed() throws {
        let messages = Self.stream.messages
        var proof = BackfillProof(isFromBeginning: true)
        var faults: [BackfillProof.Fault] = []
        for (index, stored) in messages.enumerated() where !(4...9).contains(index) {
            let id = try #require(MessageID(stored.id))
            if let sequence = proof.sequence(beforeNumbersMissingBefore: id) {
                #expect(sequence == 4 && index == 10)
                faults += proof.forget()
            }
            if id.kind == .event { continue }
            let message = BackfillProof.Message(sequence: UInt64(index) + 1, subject: stored.subject, id: id, idText: stored.id)
            faults += proof.take(message) { Array(stored.body.utf8) }
        }
        #expect(faults + proof.finish() == [])
        #expect(proof.rowCount == 1 + 2 + 4 + 2)
    }

    @Test func markersAreKnownByTheirSubjects() {
        #expect(BackfillProof.isMarker("a.b._slotstream.BACKFILL"))
        for subject in ["a.b.Order.READ", "a.b.Order.BACKFILL", "a.b._slotstream.GAP", "BACKFILL"] { #expect(!BackfillProof.isMarker(subject)) }
    }
}
