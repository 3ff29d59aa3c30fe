import Foundation
import PrivateServers
import Testing

@testable import JetStreamPublishing

@Suite("Streams, buckets, consumers", .serialized)
struct StreamsTests {
    private static let wanted = StreamConfiguration(
        name: "events", subjectPrefix: "shop.eu", duplicateWindow: .seconds(300), maxAge: .seconds(7 * 86_400),
        maxBytes: 10_000_000, maxMessages: 1_000)

    @Test(arguments: NatsServer.Version.allCases)
    func aStreamIsCreatedAsWantedAndFoundSo(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let connection = try TestClient(server, stream: false).connection
        #expect(try retrying { try connection.streamInfo("events") } == nil)
        let created = try connection.createStream(Self.wanted)
        #expect(StreamDifference.compare(created.config, Self.wanted).isEmpty)
        let info = try #require(try connection.streamInfo("events"))
        #expect(info.created == created.created)
        #expect(!info.created.isEmpty)
        #expect(info.config.subjects == ["shop.eu.>"])
        #expect(info.config.duplicateWindowNanoseconds == 300_000_000_000)
        #expect(info.state.lastSequence == 0)
        #expect(String(decoding: info.raw, as: UTF8.self).contains("\"duplicate_window\""))
        // The same again is fine, another is refused and leaves it as it is.
        _ = try connection.createStream(Self.wanted)
        var other = Self.wanted
        other.maxMessages = 5
        do throws(JetStreamError) {
            _ = try connection.createStream(other)
            Issue.record("created")
        } catch {
            #expect(error.errCode == JetStreamErrorCode.streamNameInUse)
        }
        #expect(try connection.streamInfo("events")?.config.maxMessages == 1_000)
        #expect(
            StreamDifference.compare(info.config, other) == [
                StreamDifference(key: "max_msgs", found: "1000", wanted: "5", severity: .warn)
            ])
    }

    @Test(arguments: NatsServer.Version.allCases)
    func streamsThatBreakTheGuaranteeAreRefused(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let connection = try TestClient(server, stream: false).connection
        var cases = [
            (#""retention":"interest""#, "retention"), (#""retention":"workqueue""#, "retention"),
            (#""storage":"memory""#, "storage"), (#""no_ack":true"#, "no_ack"), (#""subjects":["x.>"]"#, "subjects"),
            (#""subjects":["shop.*"]"#, "subjects"), (#""sources":[{"name":"other"}]"#, "sources"),
            (#""allow_rollup_hdrs":true"#, "allow_rollup_hdrs"), (#""max_msgs_per_subject":3"#, "max_msgs_per_subject"),
        ]
        if version == .newest {
            cases += [
                (#""allow_msg_ttl":true"#, "allow_msg_ttl"),
                (#""allow_msg_schedules":true"#, "allow_msg_schedules"),
                (#""allow_msg_counter":true"#, "allow_msg_counter"),
                (#""persist_mode":"async""#, "persist_mode"),
                (#""subject_transform":{"src":"shop.>","dest":"shop.x.>"}"#, "subject_transform"),
                (
                    #""subject_delete_marker_ttl":5000000000,"allow_rollup_hdrs":true,"allow_msg_ttl":true"#,
                    "subject_delete_marker_ttl"
                ),
            ]
        }
        for (number, (setting, key)) in cases.enumerated() {
            // Each has a name of its own: nats-server removes a stream's files behind its answer, and finds them in the way of the next of that name.
            let name = "S\(number)"
            let subjects = setting.contains("subjects") ? "" : #""subjects":["shop.>"],"#
            let storage = setting.contains("storage") ? "" : #""storage":"file","#
            let json =
                #"{"name":"\#(name)",\#(subjects)\#(storage)"num_replicas":1,"duplicate_window":300000000000,\#(setting)}"#
            let (info, _): (StreamInfo, [UInt8]) = try retrying {
                try connection.call("$JS.API.STREAM.CREATE.\(name)", Array(json.utf8), timeout: .patient)
            }
            let differences = StreamDifference.compare(info.config, Self.wanted)
            #expect(differences.contains { $0.key == key && $0.severity == .refuse }, "\(setting)")
            _ = try connection.request("$JS.API.STREAM.DELETE.\(name)", [], timeout: .patient)
        }
        let mirror = #"{"name":"S","mirror":{"name":"other"},"storage":"file","num_replicas":1}"#
        let (info, _): (StreamInfo, [UInt8]) = try connection.call(
            "$JS.API.STREAM.CREATE.S", Array(mirror.utf8), timeout: .patient)
        #expect(StreamDifference.compare(info.config, Self.wanted).contains { $0.key == "mirror" })
    }

    @Test func widerSubjectsAreAWarningAndLimitsToo() throws {
        let server = try NatsServer(.oldest)
        let connection = try TestClient(server, stream: false).connection
        let json =
            #"{"name":"S","subjects":["shop.>"],"storage":"file","num_replicas":1,"discard":"new","max_msgs_per_subject":3,"discard_new_per_subject":true}"#
        let (info, _): (StreamInfo, [UInt8]) = try retrying {
            try connection.call("$JS.API.STREAM.CREATE.S", Array(json.utf8), timeout: .patient)
        }
        let differences = StreamDifference.compare(info.config, Self.wanted)
        #expect(differences.allSatisfy { $0.severity == .warn })
        let keys = ["subjects", "discard", "max_msgs_per_subject", "discard_new_per_subject", "allow_direct"]
        for key in keys { #expect(differences.contains { $0.key == key }, "\(key)") }
    }

    @Test(arguments: [
        ("a.>", "a.>", true), (">", "a.>", true), ("a.>", "a.b.>", true), ("*.>", "a.>", true), ("a.*", "a.>", false),
        ("a.b.>", "a.>", false), ("a", "a.>", false), ("a.b", "a.b", true), ("a.*", "a.b", true), ("a.>", "a", false),
        ("b.>", "a.>", false), ("a.*.>", "a.>", false),
    ])
    func subjectFiltersCoverEachOther(_ pattern: String, _ filter: String, _ covers: Bool) {
        #expect(StreamDifference.covers(pattern, filter) == covers)
    }

    @Test(arguments: NatsServer.Version.allCases)
    func readsTheLastMessageAndAnyOther(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let client = try TestClient(server)
        let connection = client.connection
        #expect(try connection.lastMessage(TestClient.stream) == nil)
        try client.publish(1...3)
        try client.awaitStored(1...3)
        let last = try #require(try connection.lastMessage(TestClient.stream))
        #expect(last.sequence == 3)
        #expect(last.messageID == "id-3")
        #expect(last.subject == "shop.Order.INSERT")
        #expect(last.header("Nats-Expected-Last-Sequence") == "2")
        #expect(try connection.message(TestClient.stream, sequence: 2)?.messageID == "id-2")
        #expect(try connection.message(TestClient.stream, sequence: 9) == nil)
        // Purged: the message is gone, the sequence stays.
        _ = try connection.request("$JS.API.STREAM.PURGE.\(TestClient.stream)", [], timeout: .patient)
        #expect(try connection.lastMessage(TestClient.stream) == nil)
        #expect(try connection.streamInfo(TestClient.stream)?.state.lastSequence == 3)
        try client.publish(4)
        try client.awaitStored(4...4)
        do throws(JetStreamError) {
            _ = try connection.lastMessage("absent")
            Issue.record("found")
        } catch {
            #expect(error.errCode == JetStreamErrorCode.streamNotFound)
        }
    }

    @Test func namesThatAreNoNamesAreRefusedHere() throws {
        let server = try NatsServer(.oldest)
        let connection = try TestClient(server, stream: false).connection
        for name in ["", "a.b", "a b", "*", ">", "a\r\nb", "a/b", String(repeating: "a", count: 256)] {
            #expect(throws: JetStreamError.self) { try connection.streamInfo(name) }
            #expect(throws: JetStreamError.self) { try connection.bucketGet("b", key: name.isEmpty ? "" : "\(name) ") }
        }
    }

    @Test(arguments: NatsServer.Version.allCases)
    func aBucketIsWrittenByCompareAndSet(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let connection = try TestClient(server, stream: false).connection
        #expect(try retrying { try connection.bucketGet("state", key: "events") } == .bucketMissing)
        try connection.createBucket("state", replicas: 1)
        try connection.createBucket("state", replicas: 1)
        let config = try #require(try connection.streamInfo("KV_state")?.config)
        #expect(config.subjects == ["$KV.state.>"])
        #expect(config.maxMessagesPerSubject == 1)
        #expect(config.denyDelete && config.allowRollup && config.allowDirect && config.discard == "new")
        #expect(try connection.bucketGet("state", key: "events") == .keyMissing)
        let first = try connection.bucketPut("state", key: "events", value: [1], expectedRevision: 0)
        #expect(try connection.bucketGet("state", key: "events") == .value([1], revision: first))
        let second = try connection.bucketPut("state", key: "events", value: [2], expectedRevision: first)
        for revision in [0, first, second + 1] {
            do throws(JetStreamError) {
                _ = try connection.bucketPut("state", key: "events", value: [3], expectedRevision: revision)
                Issue.record("put over revision \(revision)")
            } catch {
                #expect(error.errCode == JetStreamErrorCode.wrongLastSequence)
            }
        }
        #expect(try connection.bucketGet("state", key: "events") == .value([2], revision: second))
        let third = try connection.bucketPut("state", key: "other", value: [], expectedRevision: nil)
        #expect(try connection.bucketGet("state", key: "other") == .value([], revision: third))
        // Deleted as the clients do it.
        _ = try connection.request(
            "$KV.state.events", [], headers: [("KV-Operation", "DEL")], timeout: .patient)
        #expect(try connection.bucketGet("state", key: "events") == .deleted(revision: third + 1))
        let again = try connection.bucketPut("state", key: "events", value: [4], expectedRevision: third + 1)
        #expect(try connection.bucketGet("state", key: "events") == .value([4], revision: again))
    }

    @Test(arguments: NatsServer.Version.allCases)
    func aPipelinedPutIsAnsweredThroughTheMailbox(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let client = try TestClient(server)
        try client.connection.createBucket("state", replicas: 1)
        func put(_ number: UInt64, expecting revision: UInt64) throws {
            try client.connection.publish(
                subject: JetStreamConnection.bucketSubject("state", key: "events"), payload: [1],
                headers: JetStreamConnection.bucketHeaders(expectedRevision: revision),
                token: AckMailbox.controlBit | number)
        }
        try put(1, expecting: 0)
        try put(2, expecting: 9)
        try eventually("two outcomes") { client.outcomes.count == 2 }
        #expect(client.outcomes[0] == .controlStored(token: AckMailbox.controlBit | 1, sequence: 1))
        #expect(
            client.outcomes[1]
                == .refused(token: AckMailbox.controlBit | 2, errCode: 10_071, code: 400, lastSequence: 1))
    }

    @Test(arguments: NatsServer.Version.allCases)
    func aConsumerIsCreatedOnceAndThenLeftAsItIs(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let client = try TestClient(server)
        let connection = client.connection
        #expect(try connection.consumerInfo(TestClient.stream, "worker") == nil)
        let made = try connection.createConsumer(
            TestClient.stream, name: "worker", filter: "shop.>", ackWait: .seconds(30), maxDeliver: 3)
        #expect(made.durableName == "worker")
        #expect(made.ackPolicy == "explicit" && made.deliverPolicy == "all" && made.deliverSubject == nil)
        #expect(made.ackWaitNanoseconds == 30_000_000_000 && made.maxDeliver == 3 && made.filterSubject == "shop.>")
        let kept = try connection.createConsumer(
            TestClient.stream, name: "worker", filter: "shop.>", ackWait: .seconds(60), maxDeliver: 5)
        #expect(kept.ackWaitNanoseconds == 30_000_000_000 && kept.maxDeliver == 3)
        try client.publish(1...2)
        try client.awaitStored(1...2)
        // Counted a moment after the ack.
        try eventually("both are pending") {
            try connection.consumerInfo(TestClient.stream, "worker")?.pendingCount == 2
        }
    }

    @Test func aStreamWithOneReplicaHasNoLeaderToStepDown() throws {
        let server = try NatsServer(.newest)
        let client = try TestClient(server)
        #expect(throws: JetStreamError.self) { try client.connection.stepDownLeader(TestClient.stream) }
    }

    @Test func aMajorityIsCountedWithTheLeader() {
        func peer(_ isCurrent: Bool, _ isOffline: Bool = false) -> StreamInfo.Peer {
            StreamInfo.Peer(name: "p", isCurrent: isCurrent, isOffline: isOffline, lag: 0)
        }
        #expect(StreamInfo.Cluster(leader: "l", replicas: []).hasCurrentMajority)
        #expect(StreamInfo.Cluster(leader: "l", replicas: [peer(true), peer(false)]).hasCurrentMajority)
        #expect(!StreamInfo.Cluster(leader: "l", replicas: [peer(false), peer(true, true)]).hasCurrentMajority)
        #expect(!StreamInfo.Cluster(leader: nil, replicas: [peer(true), peer(true)]).hasCurrentMajority)
    }
}
