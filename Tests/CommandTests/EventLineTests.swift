import Pipeline
import Testing
import WAL

@testable import Console
@testable import slotstream

@Suite struct EventLineTests {
    private let today = PostgresTimestamp(rfc3339: "2026-11-23T14:00:00Z") ?? PostgresTimestamp(0)

    private func line(_ body: String, subject: String = "p.Order.INSERT", columns: Int? = nil, isColoured: Bool = false) -> String {
        let event = EventReader.Event(
            sequence: 7, subject: subject, payload: Array(body.utf8), id: nil, storedAt: PostgresTimestamp(rfc3339: "2026-11-23T13:00:00.5Z"))
        return EventLine.text(event, on: Screen(columns: columns, isColoured: isColoured), today: today)
    }

    private static let order =
        #"{"id":"1.5.1.848.00000000016B3748.1","entity_type":"Order","operation":"INSERT","entity_id":"998be958-8f0b-4d0e-9a5e-0f6c1f0a7b11","timestamp":"2026-11-23T13:07:09.027123+00:00","entity":{"pk_order":1,"id":"998be958-8f0b-4d0e-9a5e-0f6c1f0a7b11","status":"pending","total":12.50,"note":null},"transaction":{"id":848,"lsn":"0/16B3748","ordinal":1,"last":true},"source":{"database":"d","schema":"public","table":"tb_order"}}"#

    @Test func aRowIsItsNamesAndItsColumns() {
        #expect(line(Self.order) == "13:07:09.027  #7  Order INSERT  998be958…  pk_order=1 status=pending total=12.50 note=null   tx 848 1/1")
    }

    @Test func asMuchIsShownAsFits() {
        #expect(line(Self.order, columns: 80) == "13:07:09.027  #7  Order INSERT  998be958…  pk_order=1 status=pendi…   tx 848 1/1")
        for columns in [40, 60, 79, 120] { #expect(line(Self.order, columns: columns).count <= columns) }
    }

    @Test func anUpdateIsWhatChanged() {
        let body =
            #"{"id":"x","entity_type":"Order","operation":"UPDATE","entity_id":"5","timestamp":"2026-11-22T13:07:09.027123+00:00","entity":{"n":5,"status":"paid"},"before":{"n":5,"status":"open"},"changes":{"status":{"old":"open","new":"paid"}},"transaction":{"id":9,"lsn":"0/1","ordinal":2,"last":false}}"#
        #expect(line(body) == "2026-11-22 13:07:09.027  #7  Order UPDATE  5  status=open→paid   tx 9 2/…")
    }

    @Test func theOtherFormatsAreReadToo() {
        let cloud = #"{"specversion":"1.0","id":"x","type":"Order.INSERT","time":"2026-11-23T13:07:09.027123+00:00","data":\#(Self.order)}"#
        #expect(line(cloud) == line(Self.order))
        let fraiseql =
            #"{"id":"u","event_type":"INSERT","entity_type":"Order","entity_id":"998be958-8f0b-4d0e-9a5e-0f6c1f0a7b11","data":{"status":"pending"},"changes":null,"timestamp":"2026-11-23T13:07:09.027123+00:00"}"#
        #expect(line(fraiseql) == "13:07:09.027  #7  Order INSERT  998be958…  status=pending")
    }

    @Test func markersSayWhatTheyMean() {
        let gap =
            #"{"gap":{"accepted_by":"ann","from_lsn":"0/1","reason":"slot_missing","to_lsn":"0/2"},"id":"x","operation":"GAP","timestamp":"2026-11-23T12:54:00.000000+00:00"}"#
        #expect(
            line(gap, subject: "p._slotstream.GAP")
                == "12:54:00.000  #7  GAP  changes are missing  from_lsn=0/1 to_lsn=0/2 reason=slot_missing accepted_by=ann")
        let skip =
            #"{"id":"x","operation":"SKIP","timestamp":"2026-11-23T12:54:00.000000+00:00","skip":{"id":"1.5.1.8.00.1","accepted_by":"ann","accepted_at":"t","reason":"payload_too_large","entity_type":"Order","operation":"INSERT","entity_id":"3"},"transaction":{"id":9,"lsn":"0/1","ordinal":2,"last":false}}"#
        let passed = line(skip, subject: "p._slotstream.SKIP", columns: 80)
        #expect(passed.hasPrefix("12:54:00.000  #7  SKIP  passed over on purpose: Order INSERT 3  ") && passed.hasSuffix("   tx 9 2/…"))
        let poison =
            #"{"id":"x","entity_type":"_slotstream","operation":"POISON","timestamp":"2026-11-23T12:54:00.000000+00:00","poison":{"reason":"payload_too_large","byte_count":9,"entity_type":"Order","operation":"INSERT"},"transaction":{"id":9,"lsn":"0/1","ordinal":1,"last":true}}"#
        #expect(line(poison, subject: "p._slotstream.POISON").hasPrefix("12:54:00.000  #7  _slotstream POISON  cannot be an event: Order INSERT  reason=payload_too_large byte_count=9"))
        let late = #"{"id":"x","entity_type":"Order","operation":"INSERT","entity_id":"5","timestamp":"2026-11-23T12:54:00.000000+00:00","entity":{"n":5},"late":{"id":"1.5.1.8.00.1"}}"#
        #expect(line(late).contains("late, for 1.5.1.8.00.1"))
    }

    @Test func aRowOfABackfillNamesItsRun() {
        let read =
            #"{"id":"1.5.1.848.00000000016B3748.1.b.3.17.16384.16390.4.9","entity_type":"Order","operation":"READ","entity_id":"998be958-8f0b-4d0e-9a5e-0f6c1f0a7b11","timestamp":"2026-11-23T13:07:09.027123+00:00","entity":{"id":"998be958-8f0b-4d0e-9a5e-0f6c1f0a7b11","status":"pending"},"backfill":{"id":"3","lsn":"0/16B3800"},"source":{"database":"d","schema":"public","table":"tb_order"}}"#
        #expect(line(read, subject: "p.Order.READ") == "13:07:09.027  #7  Order READ  998be958…  status=pending   backfill 3")
        #expect(line(read.replacing("READ", with: "INSERT")) == "13:07:09.027  #7  Order INSERT  998be958…  status=pending   backfill 3")
        #expect(line(read, subject: "p.Order.READ", columns: 60).hasSuffix("   backfill 3"))
        #expect(line(read, columns: 80, isColoured: true).contains("  \u{1B}[32mOrder READ\u{1B}[0m  "))
        // In FraiseQL's format nothing tells of which run it is.
        let fraiseql =
            #"{"id":"u","event_type":"CUSTOM","entity_type":"Order","entity_id":"5","data":{"status":"pending"},"changes":null,"timestamp":"2026-11-23T13:07:09.027123+00:00"}"#
        #expect(line(fraiseql, subject: "p.Order.READ") == "13:07:09.027  #7  Order READ  5  status=pending")
        // A row's own column of that name is no run.
        #expect(line(Self.order.replacing(#""note":null"#, with: #""backfill":{"id":"3"}"#)).hasSuffix("   tx 848 1/1"))
    }

    private func marker(_ backfill: String) -> String {
        line(
            #"{"backfill":{\#(backfill),"id":"3"},"id":"x","operation":"BACKFILL","timestamp":"2026-11-23T12:54:00.000000+00:00"}"#,
            subject: "p._slotstream.BACKFILL")
    }

    @Test func markersOfABackfillAreSentences() {
        let start = "12:54:00.000  #7  BACKFILL  backfill 3"
        #expect(marker(#""event":"begin","tables":["public.tb_order","public.tb_item"]"#) == "\(start): begins: public.tb_order, public.tb_item")
        #expect(marker(#""event":"begin","tables":["public.tb_order"],"condition":"n > 5""#) == "\(start): begins: public.tb_order  condition=\"n > 5\"")
        #expect(
            marker(#""event":"table","table":"public.tb_order","oid":16384,"pass":1,"rows":123,"digest":"0123456789abcdef""#)
                == "\(start): public.tb_order read: 123 rows")
        #expect(
            marker(#""event":"table","table":"public.tb_order","partition":"public.tb_order_1","oid":16384,"pass":2,"rows":1,"digest":"0123456789abcdef""#)
                == "\(start): public.tb_order read: 1 row  partition=public.tb_order_1 pass=2")
        #expect(
            marker(#""event":"restart","table":"public.tb_order","oid":16384,"pass":2,"why":"the table was changed""#)
                == "\(start): public.tb_order begins anew  pass=2 why=\"the table was changed\"")
        #expect(marker(#""event":"whole","table":"public.tb_log","oid":1,"pass":1"#) == "\(start): public.tb_log follows, whole: forget the rows of before")
        #expect(marker(#""event":"end","rows":4567"#) == "\(start): ends: 4567 rows")
        #expect(marker(#""event":"cancelled","why":"slotstream backfill --cancel""#) == "\(start): cancelled  why=\"slotstream backfill --cancel\"")
        // A later version's, or a stranger's.
        #expect(marker(#""event":"rested""#) == start)
        #expect(!marker(#""event":"table","table":"a\u001b[2J\nb","rows":1"#).unicodeScalars.contains { $0.value < 0x20 })
    }

    @Test func whatIsNoEventIsShownForWhatItIs() {
        #expect(line("not\nJSON", subject: "p.\u{1B}[2J") == #"13:00:00.500  #7  p.\u{1B}[2J  not an event  not JSON"#)
    }

    @Test func coloursAreOnTheNameAlone() {
        let coloured = line(Self.order, columns: 80, isColoured: true)
        #expect(coloured.contains("  \u{1B}[32mOrder INSERT\u{1B}[0m  "))
        #expect(coloured.replacing(/\u{1B}\[[0-9]+m/, with: "") == line(Self.order, columns: 80))
    }

    @Test func everyByteMakesOneLineThatSteersNothing() {
        for byte in UInt8.min...UInt8.max {
            for body in [[byte], Array(#"{"entity_type":"A","operation":"B","entity":{"a":""#.utf8) + [byte] + Array("\"}}".utf8)] {
                let event = EventReader.Event(sequence: 1, subject: "s", payload: body, id: nil, storedAt: nil)
                for columns in [nil, 80] {
                    let line = EventLine.text(event, on: Screen(columns: columns), today: today)
                    #expect(line.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value) }, "\(body)")
                }
            }
        }
    }
}
