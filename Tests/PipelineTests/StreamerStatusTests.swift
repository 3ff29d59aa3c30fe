import Testing

@testable import Pipeline

@Suite struct StreamerStatusTests {
    private static func status() -> StreamerStatus {
        var source = StreamerStatus.Source(slot: "fraiseql_events")
        source.systemId = "7439120938471029384"
        source.timeline = 1
        source.database = "shop"
        source.plugin = "pgoutput"
        source.walStatus = "reserved"
        source.receivedLsn = "0/16B3790"
        source.storedLsn = "0/16B3748"
        source.confirmedLsn = "0/16B3700"
        source.lagBytes = 72
        source.lagSeconds = 0.25
        source.retainedBytes = 16_384
        source.safeBytes = -1
        var stream = StreamerStatus.Stream(name: "fraiseql_events")
        stream.leader = "n1"
        stream.firstSequence = 1
        stream.lastSequence = 42
        stream.messages = 40
        stream.bytes = 12_345
        stream.replicas = 3
        return StreamerStatus(
            role: .active, live: true, ready: false, reasons: ["not connected to NATS/\"x\""], source: source,
            stream: stream, inFlight: StreamerStatus.InFlight(messages: 2, bytes: 700),
            counters: StreamerStatus.Counters(transactions: 1, events: 2, resynchronisations: 3, reconnects: 4),
            lastError: StreamerStatus.LastError(
                reason: "unreachable", at: "2026-11-23T07:09:12.123456+00:00", message: "m"), version: "0.1.0")
    }

    @Test func isOneLineOfTheContractsNames() {
        #expect(
            Self.status().json() == #"""
                {"counters":{"events":2,"reconnects":4,"resynchronisations":3,"transactions":1},"in_flight":{"bytes":700,"messages":2},"last_error":{"at":"2026-11-23T07:09:12.123456+00:00","message":"m","reason":"unreachable"},"live":true,"ready":false,"reasons":["not connected to NATS/\"x\""],"role":"active","schema":"slotstream.status/1","source":{"confirmed_lsn":"0/16B3700","database":"shop","lag_bytes":72,"lag_seconds":0.25,"plugin":"pgoutput","received_lsn":"0/16B3790","retained_bytes":16384,"safe_bytes":-1,"slot":"fraiseql_events","stored_lsn":"0/16B3748","system_id":"7439120938471029384","timeline":1,"wal_status":"reserved"},"stream":{"bytes":12345,"first_sequence":1,"last_sequence":42,"leader":"n1","messages":40,"name":"fraiseql_events","replicas":3},"version":"0.1.0"}
                """#)
    }

    @Test func whatIsUnknownIsAbsent() {
        let status = StreamerStatus(
            role: .standby, live: true, ready: true, reasons: [], source: StreamerStatus.Source(slot: "s"),
            stream: StreamerStatus.Stream(name: "n"), version: "9")
        #expect(
            status.json()
                == #"{"live":true,"ready":true,"reasons":[],"role":"standby","schema":"slotstream.status/1","source":{"slot":"s"},"stream":{"name":"n"},"version":"9"}"#
        )
    }

    @Test func readsBackWhatItWrote() throws {
        let status = Self.status()
        #expect(try StreamerStatus(json: Array(status.json().utf8)) == status)
    }

    @Test func theServersWordGoesBeforeTheStreamersOwn() {
        var asked = Self.status()
        asked.source.confirmedLsn = "0/2"
        asked.source.walStatus = nil
        asked.stream.messages = 99
        let whole = asked.adding(Self.status())
        #expect(whole.source.confirmedLsn == "0/2")
        #expect(whole.source.walStatus == "reserved")
        #expect(whole.stream.messages == 99)
        #expect(whole.counters == Self.status().counters)
    }

    private func status(_ role: StreamerStatus.Role, reasons: [String] = [], walStatus: String? = nil) -> StreamerStatus {
        var source = StreamerStatus.Source(slot: "s")
        source.walStatus = walStatus
        return StreamerStatus(
            role: role, live: true, ready: true, reasons: reasons, source: source, stream: StreamerStatus.Stream(name: "n"))
    }

    @Test func thereIsSomethingToDoWhereNobodyStreamsOrAnythingIsToldOrTheSlotIsInDanger() {
        #expect(status(.active).isHealthy && status(.standby, walStatus: "extended").isHealthy)
        #expect(!status(.stopped).isHealthy)
        #expect(!status(.active, reasons: ["not connected to NATS"]).isHealthy)
        for walStatus in ["lost", "unreserved"] { #expect(!status(.active, walStatus: walStatus).isHealthy) }
    }

    @Test func whatTheServersTellIsNotLostBehindTheRunningStreamersWord() {
        let servers = status(.stopped, reasons: [StatusReader.noHolder, "slot s does not exist"], walStatus: "reserved")
        let whole = servers.adding(status(.active, reasons: ["not connected to PostgreSQL"]))
        #expect(whole.reasons == ["not connected to PostgreSQL", "slot s does not exist"])
        #expect(!whole.isHealthy)
        #expect(status(.stopped, reasons: [StatusReader.noHolder]).adding(status(.standby)).isHealthy)
    }
}
