import Foundation
import PrivateServers
import Testing

@testable import JetStreamPublishing

@Suite("Reading headers", .serialized)
struct HeaderReadingTests {
    private static let versions: [NatsServer.Version] = [.oldest, .middle, .newest]

    /// One message as it is handed out.
    private struct Seen: Equatable {
        var sequence: UInt64
        var id: String?
        var subject: String
    }

    private static func read(
        _ client: TestClient, _ range: ClosedRange<UInt64>, isWanted: () -> Bool = { true },
        whenRead: (UInt64) -> Bool = { _ in true }
    ) throws -> [Seen] {
        var seen: [Seen] = []
        try client.connection.readHeaders(TestClient.stream, range, consumer: "reading", isWanted: isWanted) {
            (sequence: UInt64, messageID: Span<UInt8>?, subject: Span<UInt8>) in
            let id: String? = if let messageID { Self.text(messageID) } else { nil }
            seen.append(Seen(sequence: sequence, id: id, subject: Self.text(subject)))
            return whenRead(sequence)
        }
        return seen
    }

    private static func text(_ span: Span<UInt8>) -> String {
        span.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }

    /// What is to be handed out of messages that ``fill(_:_:)`` stored.
    private static func expected(_ sequences: some Sequence<UInt64>) -> [Seen] {
        sequences.map { sequence in
            sequence % 7 == 0
                ? Seen(sequence: sequence, id: nil, subject: "shop.a&b.\"<é>\"")
                : Seen(sequence: sequence, id: "id-\(sequence)", subject: "shop.Order.INSERT")
        }
    }

    /// Stores messages up to `last`, each seventh by somebody else, without an id, once with other headers, once with none.
    private static func fill(_ client: TestClient, _ last: UInt64) throws {
        for sequence in 1...last {
            if sequence % 7 == 0 {
                try client.connection.publish(
                    subject: "shop.a&b.\"<é>\"", payload: Array("stray".utf8),
                    headers: sequence % 2 == 0 ? [("X-Nats-Msg-Id", "other"), ("Y", " spaced ")] : [], token: sequence,
                    epoch: TestClient.epoch)
            } else {
                try client.publish(sequence)
            }
        }
        try client.awaitStored(1...last)
    }

    private static func delete(_ client: TestClient, _ sequence: UInt64) throws {
        let answer = try client.connection.request(
            "$JS.API.STREAM.MSG.DELETE.\(TestClient.stream)", Array(#"{"seq":\#(sequence),"no_erase":true}"#.utf8),
            timeout: .patient)
        #expect(String(decoding: answer, as: UTF8.self).contains(#""success":true"#))
    }

    private static func purge(_ client: TestClient, below sequence: UInt64) throws {
        let answer = try client.connection.request(
            "$JS.API.STREAM.PURGE.\(TestClient.stream)", Array(#"{"seq":\#(sequence)}"#.utf8), timeout: .patient)
        #expect(String(decoding: answer, as: UTF8.self).contains(#""success":true"#))
    }

    private static func consumers(_ client: TestClient) throws -> [String] {
        let names = try client.connection.request(
            "$JS.API.CONSUMER.NAMES.\(TestClient.stream)", [], timeout: .patient)
        let list = try #require(try JSONSerialization.jsonObject(with: Data(names)) as? [String: Any])
        return list["consumers"] as? [String] ?? []
    }

    /// Ranges, holes, a purged beginning, nothing left.
    private static func readsWhatIsThere(_ client: TestClient) throws {
        let last: UInt64 = 6_000
        try fill(client, last)
        #expect(try read(client, 0...last) == expected(1...last))
        #expect(try read(client, 2_500...2_500) == expected([2_500]))
        #expect(try read(client, 499...4_702) == expected(499...4_702))
        let holes = Set([1, 2, 1_000, 2_999, 5_999, last] + Array(3_000...3_300))
        for hole in holes { try delete(client, hole) }
        #expect(try read(client, 1...last) == expected((1...last).filter { !holes.contains($0) }))
        #expect(try read(client, 2_999...3_300) == [])
        #expect(try read(client, 5_990...last) == expected(5_990...5_998))
        try purge(client, below: 2_000)
        #expect(try read(client, 1...last) == expected((2_000...last).filter { !holes.contains($0) }))
        #expect(try read(client, 1...1_999) == [])
        try purge(client, below: last + 1)
        #expect(try read(client, 1...last) == [])
        #expect(try consumers(client) == [])
    }

    @Test(arguments: versions) func handsOutWhatIsThereInOrder(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        try Self.readsWhatIsThere(try TestClient(server))
    }

    @Test(arguments: versions) func doesTheSameWhereConsumersAreNotPermitted(_ version: NatsServer.Version) throws {
        let server = try NatsServer(
            version,
            configuration: """
                authorization { users [
                    { user: all, password: all }
                    { user: few, password: few, permissions: { publish: { deny: ["$JS.API.CONSUMER.CREATE.>", "$JS.API.CONSUMER.MSG.NEXT.>"] } } }
                ] }
                """)
        let client = try TestClient(TestClient.options(urls: ["nats://few:few@127.0.0.1:\(server.port)"]))
        try client.createStream()
        try Self.readsWhatIsThere(client)
    }

    @Test(arguments: versions) func doesTheSameWhereTheStreamTakesNoMoreConsumers(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let client = try TestClient(server, stream: false)
        try retrying {
            let answer = try client.connection.request(
                "$JS.API.STREAM.CREATE.\(TestClient.stream)",
                Array(#"{"name":"\#(TestClient.stream)","subjects":["shop.>"],"storage":"file","max_consumers":1}"#.utf8),
                timeout: .patient)
            #expect(!String(decoding: answer, as: UTF8.self).contains("error"))
        }
        _ = try client.connection.createConsumer(
            TestClient.stream, name: "only", filter: "shop.>", ackWait: .seconds(30), maxDeliver: -1)
        try Self.fill(client, 3_000)
        #expect(try Self.read(client, 1...3_000) == Self.expected(1...3_000))
        #expect(try Self.consumers(client) == ["only"])
    }

    /// A predecessor that was killed leaves its consumer, with another start.
    @Test(arguments: versions) func replacesAConsumerThatWasLeftBehind(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let client = try TestClient(server)
        try Self.fill(client, 100)
        _ = try client.connection.createHeaderConsumer(
            TestClient.stream, name: "reading", from: 90, timeout: .patient, isWanted: { true })
        #expect(try Self.read(client, 3...100) == Self.expected(3...100))
    }

    @Test(arguments: versions) func goesOnWhenTheServerIsKilledOrTheConsumerDeleted(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let client = try TestClient(server)
        let last: UInt64 = 12_000
        try Self.fill(client, last)
        func disturb(_ sequence: UInt64) -> Bool {
            do {
                if sequence == 1_500 {
                    try client.connection.deleteConsumer(TestClient.stream, "reading", timeout: .patient)
                }
                if sequence == 3_000 {
                    server.kill()
                    try server.start()
                }
            } catch {
                Issue.record(error)
            }
            return true
        }
        let seen = try Self.read(client, 1...last, whenRead: disturb)
        #expect(seen == Self.expected(1...last))
        #expect(client.events.contains { $0.isDisconnected })
    }

    @Test(arguments: versions) func aWideRangeTakesNoTime(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let client = try TestClient(server)
        let last: UInt64 = 100_000
        try Self.fill(client, last)
        var count: UInt64 = 0
        let took = try ContinuousClock().measure {
            try client.connection.readHeaders(TestClient.stream, 1...last, consumer: "reading", isWanted: { true }) {
                (sequence: UInt64, _: Span<UInt8>?, _: Span<UInt8>) in
                count += 1
                return sequence == count
            }
        }
        print("\(version): \(count) headers in \(took)")
        #expect(count == last)
        #expect(took < .seconds(20))
    }

    @Test func endsWhenItIsToldTo() throws {
        let server = try NatsServer(.newest)
        let client = try TestClient(server)
        try Self.fill(client, 500)
        #expect(try Self.read(client, 1...500, whenRead: { $0 < 100 }) == Self.expected(1...100))
        #expect(try Self.read(client, 1...500, isWanted: { false }) == [])
        #expect(try Self.consumers(client) == [])
    }

    /// Beyond the stream's end there is none to be known: a leader that was woken may not have heard yet of what is stored.
    @Test func whatIsNotThereYetIsNoEnd() throws {
        let server = try NatsServer(.newest)
        let client = try TestClient(server)
        try Self.fill(client, 50)
        var askedAt: [ContinuousClock.Instant] = []
        var seen: [Seen] = []
        #expect(throws: JetStreamError.timedOut(operation: "read headers of \(TestClient.stream)")) {
            seen = try Self.read(
                client, 1...60,
                isWanted: {
                    askedAt.append(.now)
                    return true
                })
        }
        #expect(seen.isEmpty && askedAt.count > 20)
        // It comes while it is waited for.
        let later = Thread {
            usleep(700_000)
            for sequence in UInt64(51)...60 { try? client.publish(sequence) }
        }
        later.start()
        #expect(try Self.read(client, 1...60).map(\.sequence) == Array(1...60))
    }

    @Test func aServerThatStandsStillIsToldInTimeAndTheCallerAskedMeanwhile() throws {
        let server = try NatsServer(.oldest)
        let client = try TestClient(server)
        try Self.fill(client, 50)
        server.signal(SIGSTOP)
        defer { server.signal(SIGCONT) }
        var longest: Duration = .zero
        var last = ContinuousClock.now
        let began = last
        #expect(throws: JetStreamError.self) {
            try Self.read(
                client, 1...50,
                isWanted: {
                    longest = max(longest, .now - last)
                    last = .now
                    return true
                })
        }
        #expect(longest < .seconds(1))
        #expect(ContinuousClock.now - began < .seconds(20))
    }

    @Test func aStreamThatIsNotThereThrowsAtOnce() throws {
        let server = try NatsServer(.newest)
        let client = try TestClient(server)
        #expect(throws: JetStreamError.self) {
            try client.connection.readHeaders("absent", 1...5, consumer: "reading", isWanted: { true }) {
                (_: UInt64, _: Span<UInt8>?, _: Span<UInt8>) in true
            }
        }
    }

    @Test(arguments: [NatsServer.Version.middle, .newest])
    func readsAReplicatedStreamWhateverHappensToItsServers(_ version: NatsServer.Version) throws {
        let cluster = try NatsCluster(version)
        let client = try TestClient(TestClient.options(urls: cluster.urls))
        _ = try NatsCluster.createStream(over: client.connection)
        let last: UInt64 = 8_000
        try Self.fill(client, last)
        #expect(try Self.read(client, 1...last) == Self.expected(1...last))
        var stopped: NatsServer?
        defer { stopped?.signal(SIGCONT) }
        func disturb(_ sequence: UInt64) -> Bool {
            do {
                if sequence == 1_000 { try client.connection.stepDownLeader(TestClient.stream) }
                if sequence == 4_000 {
                    // The server that has the consumer, unless it is the one that we are connected to.
                    let info = try client.connection.consumerInfo(TestClient.stream, "reading")
                    let holder = try info.map { try Self.holder(client, $0) } ?? "n0"
                    let server = try cluster.server(holder)
                    if server.url != client.connection.connectedURL {
                        server.signal(SIGSTOP)
                        stopped = server
                    }
                }
            } catch {
                Issue.record(error)
            }
            return true
        }
        // As a caller does: while the stream has no leader nothing can be read, and it looks again.
        var seen: [Seen] = []
        try eventually("all is read", timeout: .seconds(90)) {
            do {
                try client.connection.readHeaders(
                    TestClient.stream, UInt64(seen.count + 1)...last, consumer: "reading", isWanted: { true }
                ) { (sequence: UInt64, messageID: Span<UInt8>?, subject: Span<UInt8>) in
                    let id: String? = if let messageID { Self.text(messageID) } else { nil }
                    seen.append(Seen(sequence: sequence, id: id, subject: Self.text(subject)))
                    return disturb(sequence)
                }
                return true
            } catch let error as JetStreamError where error.isTransient {
                return false
            }
        }
        #expect(seen == Self.expected(1...last))
    }

    /// The server that keeps the consumer.
    private static func holder(_ client: TestClient, _ info: ConsumerInfo) throws -> String {
        let raw = try client.connection.request(
            "$JS.API.CONSUMER.INFO.\(TestClient.stream).\(info.name)", [], timeout: .patient)
        let object = try #require(try JSONSerialization.jsonObject(with: Data(raw)) as? [String: Any])
        return try #require((object["cluster"] as? [String: Any])?["leader"] as? String)
    }
}
