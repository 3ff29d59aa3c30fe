import History
import Pipeline
import Testing
import WAL

@testable import Console
@testable import slotstream

@Suite struct StatusScreenTests {
    private static let now = PostgresTimestamp(rfc3339: "2026-11-23T13:04:11.5Z") ?? PostgresTimestamp(0)

    private static func healthy() -> StreamerStatus {
        var source = StreamerStatus.Source(slot: "fraiseql_events")
        source.database = "billing"
        source.host = "db1"
        source.plugin = "pgoutput"
        source.walStatus = "reserved"
        source.receivedLsn = "0/21410948"
        source.storedLsn = "0/21410948"
        source.confirmedLsn = "0/21410948"
        source.lagBytes = 0
        source.lagSeconds = 0
        source.retainedBytes = 56
        source.walLimitBytes = -1
        source.diskFreeBytes = 74 << 30
        source.fullInSeconds = 32_400
        source.publishedTables = 6
        source.tablesWithoutIdentity = ["public.audit_log"]
        var stream = StreamerStatus.Stream(name: "fraiseql_events")
        stream.host = "nats1"
        stream.firstSequence = 1
        stream.lastSequence = 100_052
        stream.messages = 100_052
        stream.bytes = 57 << 20
        stream.maxBytes = 500 << 20
        stream.firstTime = "2026-11-23T12:56:00.123456789Z"
        stream.lastTime = "2026-11-23T13:04:11Z"
        stream.fullInSeconds = 259_200
        var status = StreamerStatus(
            role: .active, live: true, ready: true, reasons: [], source: source, stream: stream,
            inFlight: StreamerStatus.InFlight(messages: 2, bytes: 700),
            counters: StreamerStatus.Counters(transactions: 90_000, events: 100_052, resynchronisations: 1, reconnects: 0, strays: 0),
            version: "0.2.0")
        status.rates = StreamerStatus.Rates(eventsPerSecond: 310, walBytesPerSecond: 1_258_291, seconds: 60)
        status.window = StreamerStatus.Window(
            slot: "fraiseql_events_anchor", fromLsn: "0/21400000", fromTime: "2026-11-23T12:54:11.000000+00:00", bytes: 12 << 20)
        status.consumers = [
            StreamerStatus.Consumer(name: "email-handler", pending: 0, delivered: 100_052, ackFloor: 100_052),
            StreamerStatus.Consumer(name: "fraiseql_observer_worker", pending: 100_050, ackPending: 2, delivered: 0, ackFloor: 0, retentionLeft: 0.5),
        ]
        return status
    }

    private static func stopped() -> StreamerStatus {
        var status = healthy()
        status.role = .stopped
        status.counters = nil
        status.inFlight = nil
        status.source.lagSeconds = nil
        status.source.lagBytes = 2_516_582
        status.rates = StreamerStatus.Rates(walBytesPerSecond: 1_258_291, seconds: 200_000)
        let stop = LastStop(
            slot: "fraiseql_events", reason: .poisonEvent, at: "2026-11-23T13:00:00.000000+00:00",
            message: "public.payments at 0/21410948: the event has 2.2 MB, more than max_payload, which is 1 MB", remedy: "", eventsPerSecond: 310,
            version: "0.2.0")
        status.lastStop = stop
        status.lastError = StreamerStatus.LastError(reason: stop.reason, at: stop.at, message: stop.message)
        status.reasons = ["no streamer holds the slot"]
        status.next = ["Nothing was skipped", "1. Raise max_payload of nats-server, or max_msg_size of the stream", "2. Start the streamer: `slotstream run`"]
        return status
    }

    private func text(_ status: StreamerStatus, columns: Int? = nil, isColoured: Bool = false, isUnreachable: Bool = false) -> String {
        StatusScreen.text(
            status, isUnreachable: isUnreachable, on: Screen(columns: columns, isColoured: isColoured), at: Self.now)
    }

    @Test func aHealthyOneIsOneScreen() {
        #expect(
            text(Self.healthy(), columns: 80) == """
                slotstream 0.2.0 · billing@db1 → fraiseql_events@nats1              13:04:11 UTC
                ● STREAMING
                  slot       fraiseql_events, pgoutput, reserved
                  position   received 0/21410948, stored 0/21410948, confirmed 0/21410948
                  behind     0 B of WAL, oldest change 0.0 s
                  rate       310 events/s, 1.2 MiB of WAL/s, in the last 60 s
                  in flight  2 messages, 700 B not stored yet
                  WAL held   56 B, limit none (max_slot_wal_keep_size = -1), disk free 74.0 GiB,
                             room for a stop of about 9 h
                  window     reaches back 10 min, from 0/21400000, holds 12.0 MiB
                  stream     100,052 messages, 57.0 MiB of 500 MiB (11 %), oldest 8 min ago,
                             newest 0.5 s ago, full in about 3 d
                  sequences  1 to 100052
                  consumers  fraiseql_observer_worker 100,052 behind, never read ·
                             email-handler 0 behind
                  tables     6 published · public.audit_log: no usable replica identity (UPDATE
                             fails in the application)
                  counted    90,000 transactions, 100,052 events, 1 resynchronisations,
                             0 reconnects
                """)
    }

    @Test func aStoppedOneSaysWhyAndWhatToType() {
        let lines = text(Self.stopped(), columns: 80).split(separator: "\n")
        #expect(lines[1...6] == [
            "● STOPPED 4 min ago   poison_event (65)",
            "  public.payments at 0/21410948: the event has 2.2 MB, more than max_payload,",
            "  which is 1 MB",
            "  no streamer holds the slot",
            "  next:  Nothing was skipped",
            "         1. Raise max_payload of nats-server, or max_msg_size of the stream",
        ])
        #expect(lines.contains("         2. Start the streamer: `slotstream run`"))
        #expect(lines.contains("  rate       0 events/s (was 310), 1.2 MiB of WAL/s, in the last 2 d"))
        #expect(lines.contains("  behind     2.4 MiB of WAL, since 4 min"))
    }

    @Test func aBackfillIsALine() {
        var status = Self.healthy()
        status.backfill = StreamerStatus.Backfill(
            run: 3, state: "walking", tables: ["public.tb_order", "public.tb_item"], table: "public.tb_order", rows: 123_000, fraction: 0.419)
        #expect(text(status).contains("\n  backfill   run 3: public.tb_order, 123,000 rows, 41 %\n"))
        status.backfill?.state = "failed"
        status.backfill?.table = nil
        status.backfill?.why = "slotstream may not read public.tb_item"
        #expect(
            text(status).contains(
                "\n  backfill   run 3: public.tb_order, public.tb_item, 123,000 rows, 41 %, failed (slotstream may not read public.tb_item)\n"))
    }

    @Test func whatWouldStopAStreamerIsToldOnce() {
        var status = Self.stopped()
        status.lastStop = nil
        status.reasons = [StatusReader.wouldStop + "the slot is gone. Do this", "stream n does not exist"]
        let text = text(status)
        #expect(!text.contains("Do this") && text.contains("  stream n does not exist"))
    }

    @Test func whatIsNotReachableSaysSo() {
        var status = StreamerStatus(
            role: .stopped, live: false, ready: false, reasons: ["PostgreSQL: cannot connect"], source: StreamerStatus.Source(slot: "s"),
            stream: StreamerStatus.Stream(name: "n"), version: "0.2.0")
        status.next = ["Check source.url, the server and the network"]
        #expect(
            text(status, isUnreachable: true) == """
                slotstream 0.2.0 · ? → n  13:04:11 UTC
                ● UNREACHABLE
                  PostgreSQL: cannot connect
                  next:  Check source.url, the server and the network
                  slot       s
                """)
    }

    @Test(arguments: [40, 60, 80, 200])
    func everyLineFits(_ columns: Int) {
        for status in [Self.healthy(), Self.stopped()] {
            for line in text(status, columns: columns).split(separator: "\n") { #expect(line.count <= columns, "\(line)") }
        }
    }

    @Test func aPipeGetsWholeLinesWithoutColours() {
        let text = text(Self.stopped())
        #expect(!text.contains("\u{1B}"))
        #expect(text.contains("6 published · public.audit_log: no usable replica identity (UPDATE fails in the application)\n") || text.hasSuffix("application)"))
    }

    @Test func withoutTheColoursTheWordsAreTheSame() {
        let coloured = text(Self.stopped(), columns: 80, isColoured: true)
        #expect(coloured.contains("\u{1B}[31m● STOPPED\u{1B}[0m"))
        #expect(coloured.replacing(/\u{1B}\[[0-9]+m/, with: "") == text(Self.stopped(), columns: 80))
    }

    @Test func aCommandIsNotBroken() {
        let screen = Screen(columns: 40)
        let command = "`slotstream slot advance --accept-gap --by NAME`"
        #expect(screen.wrapped("Go on behind the gap, and say who: \(command)", indent: 2) == "Go on behind the gap, and say who:\n  \(command)")
    }

    @Test func aTableGivesUpColumnsBeforeItIsTooWide() {
        let rows = [["SLOT", "PLUGIN", "STATE"], ["a_long_name_of_a_slot", "pgoutput", "idle"]]
        #expect(Screen().table(rows, droppable: [1]) == "SLOT                   PLUGIN    STATE\na_long_name_of_a_slot  pgoutput  idle")
        #expect(Screen(columns: 30).table(rows, droppable: [1]) == "SLOT                   STATE\na_long_name_of_a_slot  idle")
        #expect(Screen(columns: 20).table(rows, droppable: [1]) == "SLOT           STATE\na_long_name_…  idle")
    }

    @Test func wideCharactersTakeTwoColumns() {
        #expect(Screen.width("abc→…é") == 6 && Screen.width("東京") == 4 && Screen.width("서울😀") == 6)
        #expect(Screen.cut("東京都港区", to: 6) == "東京…" && Screen.cut("abcdef", to: 4) == "abc…" && Screen.cut("abc", to: 3) == "abc")
        #expect(Screen.padded("東京", to: 6) == "東京  ")
    }
}
