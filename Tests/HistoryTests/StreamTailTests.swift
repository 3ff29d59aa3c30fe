import Capture
import JetStreamPublishing
import Testing
import WAL

import History
import HistoryFacts

/// What a message at the stream's end is, by its id and its body.
@Suite struct StreamTailTests {
    private static let id = RecoveryFacts.id()

    private static func message(_ id: String?, _ payload: String) -> StoredMessage {
        StoredMessage(
            subject: "p.x", sequence: 1, headers: id.map { [.init(name: "Nats-Msg-Id", value: $0)] } ?? [],
            payload: Array(payload.utf8))
    }

    private static func event(isLast: Bool) -> String {
        #"{"id":"x","entity_type":"Order","operation":"INSERT","timestamp":"2026-11-23T07:09:12.123456+00:00","entity":{},"transaction":{"id":70,"lsn":"0/1000","ordinal":3,"last":\#(isLast)},"source":{"database":"d","schema":"s","table":"t"}}"#
    }

    private static func read(_ id: String?, _ payload: String = "{}") -> StreamTail.Message {
        StreamTail.read(message(id, payload))
    }

    @Test func anEventTellsWhetherItIsItsTransactionsLast() {
        #expect(Self.read("\(Self.id)", Self.event(isLast: true)) == .event(Self.id, isLast: true))
        #expect(Self.read("\(Self.id)", Self.event(isLast: false)) == .event(Self.id, isLast: false))
    }

    @Test func aFormatWithoutItDoesNotTell() {
        let payload = #"{"id":"x","event_type":"INSERT","entity_type":"Order","data":{"last":true},"cdc_source":"slotstream"}"#
        #expect(Self.read("\(Self.id)", payload) == .event(Self.id, isLast: nil))
    }

    @Test(arguments: ["", "{}", "null", "{\"transaction\":{\"last\":true}}"])
    func whatCannotBeReadIsNotBelievedToBeTheLast(_ payload: String) {
        #expect(Self.read("\(Self.id)", payload) == .event(Self.id, isLast: false))
    }

    @Test func whatStandsBehindAnEventMayStandInsideItsTransaction() {
        let inside = RecoveryFacts.id(kind: .marker)
        #expect(Self.read("\(Self.id).gap.x") == .event(inside, isLast: nil))
        let between = RecoveryFacts.id(LSN(0x1000), 0, xid: 0, kind: .marker)
        #expect(Self.read("\(between).gap.x") == .event(between, isLast: true))
        let late = Self.read("\(Self.id).late.7.5.1.69.0000000000000F00.1")
        #expect(late == .event(RecoveryFacts.id(kind: .late(timeline: 1, TransactionID(69), Position(commitLSN: LSN(0xF00), ordinal: 1))), isLast: nil))
    }

    @Test func aRowOfABackfillStandsBetweenTransactions() {
        #expect(Self.read("\(Self.id).b.1.17.16384.16390.4.12") == .event(RecoveryFacts.id(kind: .backfilled(BackfillPlace(run: 1, count: 17, tableOID: 16384, filenode: 16390, block: 4, offset: 12))), isLast: true))
    }

    /// A replay goes into another stream: in this one its id is somebody's who republishes.
    @Test(arguments: [nil, "", "x", "7.5.1.70.0000000000001000.3.r.r7", "7.5.1.70.0000000000001000.3.b.1"])
    func whatHasNoIDOfThisStreamIsForeign(_ id: String?) {
        #expect(Self.read(id, Self.event(isLast: true)) == .foreign(subject: "p.x"))
    }

    @Test func onlyARowsEventTellsWhenItWasCommitted() {
        #expect(
            StreamTail.commitTimestamp(of: Self.message("\(Self.id)", Self.event(isLast: true)))?.description
                == "2026-11-23T07:09:12.123456+00:00")
        let row = #"{"id":"x","entity_type":"Order","operation":"READ","timestamp":"2026-11-23T07:09:12.123456+00:00","backfill":{},"source":{"schema":"s"}}"#
        #expect(StreamTail.commitTimestamp(of: Self.message("\(Self.id).b.1.17.16384.16390.4.12", row)) == nil)
        #expect(StreamTail.commitTimestamp(of: Self.message(nil, "x")) == nil)
    }
}
