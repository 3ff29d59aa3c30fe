import Capture
import History
import HistoryFacts
import JetStreamPublishing
import PrivateServers
import Testing
import WAL

@testable import Pipeline

/// The stream's end as a real nats-server tells it.
@Suite(.serialized, .timeLimit(.minutes(1))) struct StreamTailReadingTests {
    private let server: NatsServer
    private let link: NATSLink

    init() throws {
        server = try NatsServer(.oldest)
        link = try server.connect()
    }

    private func read() throws -> StreamTail? { try StreamTail.read("S", over: link.connection) }

    private func create() throws {
        _ = try link.connection.createStream(
            StreamConfiguration(name: "S", subjectPrefix: "p", duplicateWindow: .seconds(60)))
    }

    private func publish(_ id: String, _ payload: String) throws {
        let before = try #require(try read()).lastSequence
        try link.connection.publish(
            subject: Array("p.x".utf8).span, messageID: Array(id.utf8).span, payload: Array(payload.utf8).span,
            expectedLastSequence: before, token: before + 1, epoch: 0)
        try eventually("it is stored") { try read()?.lastSequence == before + 1 }
    }

    @Test func thereIsNoEndOfAStreamThatIsNotThere() throws {
        #expect(try read() == nil)
    }

    @Test func anEmptyStreamWasNeverWrittenTo() throws {
        try create()
        let tail = try #require(try read())
        #expect(tail.message == .never && tail.lastSequence == 0)
        #expect(tail.replicaCount == 1 && tail.isMajorityCurrent)
    }

    @Test func theLastEventTellsItsPositionAndWhetherItIsItsTransactionsLast() throws {
        try create()
        let id = RecoveryFacts.id()
        try publish(id.description, #"{"operation":"INSERT","transaction":{"last":true},"source":{}}"#)
        #expect(try read()?.message == .event(id, isLast: true))
        let next = RecoveryFacts.id(LSN(0x1000), 4)
        try publish(next.description, #"{"operation":"INSERT","transaction":{"last":false},"source":{}}"#)
        #expect(try read()?.message == .event(next, isLast: false))
    }

    @Test func aGapMarkerIsWholeUnlessItStandsBehindAnEvent() throws {
        try create()
        try publish("7.5.1.0.0000000000001000.0.gap.x", "{}")
        let marker = RecoveryFacts.id(LSN(0x1000), 0, xid: 0, kind: .marker)
        #expect(try read()?.message == .event(marker, isLast: true))
        try publish("7.5.1.70.0000000000001000.2.gap.x", "{}")
        let inside = RecoveryFacts.id(LSN(0x1000), 2, xid: 70, kind: .marker)
        #expect(try read()?.message == .event(inside, isLast: nil))
    }

    @Test(arguments: ["", "x", "7.5.1.70.1000.3"])
    func aMessageWithoutAnIDOfOursIsForeign(_ id: String) throws {
        try create()
        if id.isEmpty {
            _ = try link.connection.request("p.x", [], timeout: .patient)
        } else {
            try publish(id, "{}")
        }
        #expect(try read()?.message == .foreign(subject: "p.x"))
    }

    @Test(arguments: ["PURGE.S", "MSG.DELETE.S"])
    func whatWasRemovedIsGoneAndItsSequenceRemains(_ call: String) throws {
        try create()
        try publish(RecoveryFacts.id(LSN(0x1000)).description, "{}")
        try publish(RecoveryFacts.id(LSN(0x1010)).description, "{}")
        let body = call.hasPrefix("MSG") ? Array(#"{"seq":2}"#.utf8) : []
        _ = try link.connection.request("$JS.API.STREAM.\(call)", body, timeout: .patient)
        let tail = try #require(try read())
        #expect(tail.message == .gone && tail.lastSequence == 2)
    }

    /// Rows of a backfill carry the position of the event before them, and a replayed event that of another stream's.
    @Test func theNewestOfOursIsTheEventBeforeWhatOtherCommandsStore() throws {
        try create()
        let event = RecoveryFacts.id()
        let time = "2026-11-23T07:09:12.123456+00:00"
        try publish(
            event.description,
            #"{"operation":"INSERT","timestamp":"\#(time)","transaction":{"last":true},"source":{"schema":"s"}}"#)
        for (number, id) in ["\(event).b.1.1.16384.16384.0.1", "\(event).b.1.2.16384.16384.0.2"].enumerated() {
            try publish(id, #"{"operation":"READ","timestamp":"2026-11-24T07:09:1\#(number).123456+00:00","source":{"schema":"s"}}"#)
        }
        try publish("\(RecoveryFacts.id(LSN(0x8000))).r.r1", "{}")
        let tail = try #require(try read())
        #expect(tail.message == .foreign(subject: "p.x"))
        let present = try LastPresent.read("S", through: 4, identity: RecoveryFacts.identity, over: link.connection)
        #expect(present == .event(event, sequence: 1))
        var record = RecoveryFacts.record(lastID: nil, lastSequence: 0)
        record.streamCreated = tail.created
        for end in [4, 3] as [UInt64] {
            if end == 3 { _ = try link.connection.request("$JS.API.STREAM.MSG.DELETE.S", Array(#"{"seq":4}"#.utf8), timeout: .patient) }
            var shorter = tail
            shorter.lastSequence = end
            let commit = try RecordedEnd.newestCommit(record, shorter, identity: RecoveryFacts.identity, over: link.connection)
            #expect(commit?.sequence == 1 && commit?.timestamp.description == time)
        }
    }
}
