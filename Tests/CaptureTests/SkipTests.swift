import Foundation
import Testing
import WAL
import WireMessages

@testable import Capture

/// A change that somebody has chosen to pass over: its marker stands in its place, and all others are as ever.
@Suite struct SkipTests {
    private static let columns: [WireMessage.Column] = [.init(name: "id", isKey: true), .init(name: "v")]
    private static let poison = WireMessage.insert([.text("2"), .bytes([0x61, 0xFF])])
    private static let valid = WireMessage.insert([.text("1"), .text("x")])

    private static func id(_ ordinal: UInt64, xid: UInt32 = 735, timeline: UInt32 = 1, lsn: UInt64 = 0x100) -> MessageID {
        MessageID(
            systemID: Rig.identity.systemID, databaseOID: Rig.identity.databaseOID, timeline: timeline,
            transactionID: TransactionID(xid), position: Position(commitLSN: LSN(lsn), ordinal: ordinal))
    }

    private static func skip(_ id: MessageID) -> AcceptedSkip {
        AcceptedSkip(id: id, random: 71, acceptedBy: "ann \"42\"", acceptedAt: "2026-11-23T07:09:12.123456+00:00")
    }

    /// One transaction of these rows.
    private static func outcome(
        _ rows: [[UInt8]], skips: [AcceptedSkip], _ configuration: CaptureConfiguration = CaptureConfiguration(poisonPolicy: .stop)
    ) throws -> Outcome {
        try Outcome(
            of: [WireMessage.begin(0x100), WireMessage.relation(columns: columns)] + rows + [WireMessage.commit(0x100)],
            configuration, skips: skips)
    }

    @Test(arguments: EventFormat.allCases)
    func aMarkerStandsInTheEventsPlaceWhateverTheFormat(_ format: EventFormat) throws {
        let rows = format == .fraiseql ? [Self.poison] : [Self.valid, Self.poison, Self.valid]
        let ordinal: UInt64 = format == .fraiseql ? 1 : 2
        let outcome = try Self.outcome(
            rows, skips: [Self.skip(Self.id(ordinal))], CaptureConfiguration(format: format, poisonPolicy: .stop))
        #expect(outcome.error == nil)
        #expect(outcome.events.map(\.header.position.ordinal) == Array(1...UInt64(rows.count)))
        let marker = outcome.events[Int(ordinal) - 1]
        #expect(marker.subject == "fraiseql.mutation._slotstream.SKIP")
        #expect(marker.messageID == "\(Self.id(ordinal)).gap.1z" && MessageID(marker.messageID)?.kind == .marker)
        let members = try marker.members()
        #expect(Set(members.keys) == ["id", "operation", "timestamp", "skip", "transaction", "source"])
        #expect(members["id"] == "\"\(marker.messageID)\"" && members["operation"] == #""SKIP""#)
        #expect(try marker.value("skip", "id") == "\"\(Self.id(ordinal))\"")
        #expect(try marker.value("skip", "accepted_by") == #""ann \"42\"""#)
        let reason = format == .fraiseql ? #""entity_id_not_uuid""# : #""not_utf8""#
        #expect(try marker.value("skip", "reason") == reason && marker.value("skip", "operation") == #""INSERT""#)
        #expect(try marker.value("skip", "entity_type") == #""Order""#)
        #expect(try marker.value("transaction", "lsn") == #""0/100""# && marker.value("transaction", "ordinal") == "\(ordinal)")
        #expect(try marker.value("source", "table") == #""tb_order""#)
        #expect((try JSONSerialization.jsonObject(with: Data(marker.payload))) is [String: Any])
    }

    @Test func lastIsWhereItBelongs() throws {
        let middle = try Self.outcome([Self.valid, Self.poison, Self.valid], skips: [Self.skip(Self.id(2))])
        #expect(try middle.events.map { try $0.value("transaction", "last") } == ["false", "false", "true"])
        #expect(middle.events.map(\.header.isLast) == [false, false, true])
        let end = try Self.outcome([Self.valid, Self.poison], skips: [Self.skip(Self.id(2))])
        #expect(try end.events.map { try $0.value("transaction", "last") } == ["false", "true"])
        #expect(end.events.map(\.header.isLast) == [false, true])
    }

    @Test func exactlyOneChangeIsPassedOver() throws {
        for other in [Self.id(1), Self.id(3), Self.id(2, xid: 736), Self.id(2, timeline: 2), Self.id(2, lsn: 0x200)] {
            let outcome = try Self.outcome([Self.valid, Self.poison, Self.valid], skips: [Self.skip(other)])
            #expect(
                outcome.error
                    == .poison(.notUTF8(column: "v"), at: Self.id(2).position, relation: "public.tb_order"), "\(other)")
        }
        // The next of the same transaction wants a decision of its own.
        let next = try Self.outcome([Self.valid, Self.poison, Self.poison], skips: [Self.skip(Self.id(2))])
        #expect(next.error == .poison(.notUTF8(column: "v"), at: Self.id(3).position, relation: "public.tb_order"))
        #expect(next.events.map(\.header.position.ordinal) == [1, 2])
        let both = try Self.outcome([Self.valid, Self.poison, Self.poison], skips: [Self.skip(Self.id(2)), Self.skip(Self.id(3))])
        #expect(both.error == nil && both.events.count == 3)
    }

    /// What has become valid loses nothing by the decision.
    @Test func anEventThatCanBeSentIsSent() throws {
        let outcome = try Self.outcome([Self.valid, Self.valid], skips: [Self.skip(Self.id(2))])
        #expect(outcome.events.map(\.subject) == ["fraiseql.mutation.Order.INSERT", "fraiseql.mutation.Order.INSERT"])
        #expect(outcome.events.last?.messageID == "\(Self.id(2))")
    }

    /// It was passed over: that it could be quarantined by now changes nothing of what is stored.
    @Test(arguments: [CaptureConfiguration.PoisonPolicy.quarantine, .reference])
    func theDecisionIsBeforeThePolicy(_ policy: CaptureConfiguration.PoisonPolicy) throws {
        let outcome = try Self.outcome(
            [Self.poison], skips: [Self.skip(Self.id(1))], CaptureConfiguration(poisonPolicy: policy))
        #expect(outcome.events.map(\.subject) == ["fraiseql.mutation._slotstream.SKIP"])
    }

    @Test func messagesOfTransactionsAndOutsideThem() throws {
        let body = Array("no event".utf8)
        let inside = try Outcome(
            of: [WireMessage.begin(0x100), WireMessage.message(body), WireMessage.commit(0x100)],
            CaptureConfiguration(poisonPolicy: .stop), skips: [Self.skip(Self.id(1))])
        #expect(try inside.events.first?.value("skip", "message", "body") == #""no event""#)
        #expect(try inside.events.first?.value("transaction", "last") == "true")
        let alone = Self.id(0, xid: 0, lsn: 0x180)
        let outside = try Outcome(
            of: [WireMessage.message(body, isTransactional: false, lsn: 0x180)], CaptureConfiguration(poisonPolicy: .stop),
            skips: [Self.skip(alone)])
        let marker = try #require(outside.events.first)
        #expect(outside.events.count == 1 && marker.messageID == "\(alone).gap.1z" && marker.header.isLast)
        #expect(try marker.value("transaction", "id") == nil && marker.value("transaction", "lsn") == #""0/180""#)
    }

    @Test func aMarkerIsReadBackAsNoEventOfAnEntity() throws {
        let outcome = try Self.outcome([Self.poison], skips: [Self.skip(Self.id(1))])
        let marker = try #require(outcome.events.first)
        let event = try #require(EventFormat.read(marker.payload, subject: marker.subject))
        #expect(event.entity.isEmpty && event.operation == "SKIP" && event.kind == nil && event.isLast == true)
        #expect(event.position == Self.id(1).position && event.commitTimestamp == marker.header.commitTimestamp)
    }
}
