import Foundation
import JetStreamPublishing
import Testing
import WAL

@testable import History

/// What a stream's limits let stand, and which consumer is about to lose something.
@Suite struct StreamRetentionTests {
    /// A stream of 100 messages, 1000 bytes, stored in 99 s, one a second, the last just now.
    private static func stream(_ limits: String = "", first: UInt64 = 1) throws -> StreamInfo {
        let json = #"""
            {"config":{"name":"S","subjects":["p.>"],"num_replicas":1\#(limits)},"created":"2026-11-23T07:00:00Z",
            "state":{"messages":100,"bytes":1000,"first_seq":\#(first),"last_seq":\#(first + 99),
            "first_ts":"2026-11-23T07:00:00Z","last_ts":"2026-11-23T07:01:39.000000001Z"}}
            """#
        return try JSONDecoder().decode(StreamInfo.self, from: Data(json.utf8))
    }

    private static func consumer(floor: UInt64, pending: UInt64, ackPending: UInt64 = 0, config: String = "") throws -> ConsumerInfo {
        let json = #"""
            {"name":"c","config":{"durable_name":"c","ack_policy":"explicit"\#(config)},"num_pending":\#(pending),"num_ack_pending":\#(ackPending),
            "delivered":{"consumer_seq":3,"stream_seq":\#(floor + ackPending)},"ack_floor":{"consumer_seq":3,"stream_seq":\#(floor)}}
            """#
        return try JSONDecoder().decode(ConsumerInfo.self, from: Data(json.utf8))
    }

    private static let now = PostgresTimestamp(rfc3339: "2026-11-23T07:01:39Z")

    private func left(before sequence: UInt64, _ limits: String, first: UInt64 = 1) throws -> Double {
        let now = try #require(Self.now)
        let share = StreamRetention(try Self.stream(limits, first: first), now: now).left(before: sequence)
        return (share * 1000).rounded() / 1000
    }

    @Test(arguments: [
        // Nothing removes anything.
        (UInt64(1), "", 1), (1, #","max_bytes":-1,"max_msgs":-1,"max_age":0"#, 1),
        // By size: 1000 of 2000 bytes stand behind the first, 10 behind the last.
        (1, #","max_bytes":2000"#, 0.5), (51, #","max_bytes":2000"#, 0.75), (100, #","max_bytes":1000"#, 0.99), (1, #","max_bytes":1000"#, 0),
        // By number.
        (1, #","max_msgs":125"#, 0.2), (100, #","max_msgs":100"#, 0.99),
        // By age: 99 s, 49 s, none.
        (1, #","max_age":198000000000"#, 0.5), (51, #","max_age":98000000000"#, 0.5), (100, #","max_age":1000000000"#, 1),
        // The nearest of them.
        (1, #","max_bytes":2000,"max_msgs":125,"max_age":198000000000"#, 0.2),
        // A full stream that takes no more removes nothing.
        (1, #","max_bytes":1000,"max_msgs":100,"discard":"new""#, 1),
        // Not there yet.
        (101, #","max_bytes":1000"#, 1),
    ])
    func theNearestLimitCounts(_ sequence: UInt64, _ limits: String, _ share: Double) throws {
        #expect(try left(before: sequence, limits) == share)
    }

    @Test func whatIsRemovedHasNothingLeft() throws {
        #expect(try left(before: 49, "", first: 50) == 0)
        #expect(try left(before: 50, "", first: 50) == 1)
    }

    @Test func aConsumerIsNearEvictionWhenAShareIsLeftOrNothing() throws {
        let retention = StreamRetention(try Self.stream(#","max_bytes":1080"#, first: 50), now: try #require(Self.now))
        func standing(_ consumer: ConsumerInfo) -> ConsumerStanding {
            ConsumerStanding(consumer, oldestUnread: consumer.ackFloorSequence + 1, retention)
        }
        // 7 % are left before 50; 49 is gone.
        #expect(standing(try Self.consumer(floor: 49, pending: 100)).isNearEviction)
        #expect(standing(try Self.consumer(floor: 40, pending: 100)).retentionLeft == 0)
        #expect(!standing(try Self.consumer(floor: 60, pending: 80, ackPending: 10)).isNearEviction)
        // It has read all; where it stands is no danger.
        #expect(standing(try Self.consumer(floor: 40, pending: 0)).retentionLeft == 1)
        #expect(standing(try Self.consumer(floor: 40, pending: 0, ackPending: 1)).isNearEviction)
        // Nobody knows what is next.
        #expect(!ConsumerStanding(try Self.consumer(floor: 40, pending: 1), oldestUnread: nil, retention).isNearEviction)
    }

    @Test(arguments: [
        ("", true), (#","filter_subject":"p.>""#, true), (#","filter_subject":">""#, true), (#","filter_subject":"p.Order.>""#, false),
        (#","filter_subjects":["p.Order.>","p.Item.>"]"#, false), (#","filter_subjects":["p.>"]"#, true),
    ])
    func aFilterTakesAllOrPart(_ config: String, _ takesAll: Bool) throws {
        #expect(try Self.consumer(floor: 0, pending: 0, config: config).takesAll(of: ["p.>"]) == takesAll)
    }
}
