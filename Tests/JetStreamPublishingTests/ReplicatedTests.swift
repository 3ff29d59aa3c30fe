import Foundation
import LoopbackPorts
import Testing

@testable import JetStreamPublishing

@Suite("Replicated streams", .serialized)
struct ReplicatedTests {
    /// Three servers of the newest version, as one cluster.
    private static func cluster() throws -> [NatsServer] {
        let ports = try (0..<3).map { _ in try freePort() }
        let routes = ports.map { "nats://127.0.0.1:\($0)" }.joined(separator: ", ")
        return try ports.enumerated().map { index, port in
            try NatsServer(
                .newest,
                configuration: "cluster { name: test, listen: \"127.0.0.1:\(port)\", routes: [\(routes)] }",
                name: "n\(index)")
        }
    }

    private static let wanted = StreamConfiguration(
        name: TestClient.stream, subjectPrefix: "shop", duplicateWindow: .seconds(120), replicas: 3)

    /// A new cluster has no suitable peers until its last server has joined, and is silent while it elects.
    private static func createStream(over connection: JetStreamConnection) throws -> StreamInfo {
        var created: StreamInfo?
        try eventually("the cluster has a place for three replicas", timeout: .seconds(90)) {
            do throws(JetStreamError) {
                created = try connection.createStream(wanted)
            } catch {
                if case .api(_, JetStreamErrorCode.noSuitablePeers, _, _) = error { return false }
                guard error.isTransient else { throw error }
            }
            return created != nil
        }
        return try #require(created)
    }

    /// How the stream's servers stand; nil while nobody answers, as between two leaders.
    private static func state(over connection: JetStreamConnection) -> StreamInfo.Cluster? {
        (try? connection.streamInfo(TestClient.stream, timeout: .seconds(1)))?.cluster
    }

    @Test func theChainHoldsWhenTheLeaderStepsDown() throws {
        let servers = try Self.cluster()
        let client = try TestClient(TestClient.options(urls: servers.map(\.url)))
        let connection = client.connection
        let created = try Self.createStream(over: connection)
        #expect(StreamDifference.compare(created.config, Self.wanted).isEmpty)
        try eventually("a majority", timeout: .seconds(60)) {
            Self.state(over: connection)?.hasCurrentMajority == true
        }
        try client.publish(1...2_000)
        try client.awaitStored(1...2_000)
        let cluster = try #require(try connection.streamInfo(TestClient.stream)?.cluster)
        let leader = try #require(cluster.leader)
        #expect(cluster.replicas.count == 2)

        try connection.stepDownLeader(TestClient.stream)
        try eventually("another leader", timeout: .seconds(60)) {
            guard let cluster = Self.state(over: connection) else { return false }
            return cluster.leader != nil && cluster.leader != leader && cluster.hasCurrentMajority
        }
        #expect(try retrying { try connection.lastMessage(TestClient.stream) }?.sequence == 2_000)
        func refusedCount() -> Int {
            client.outcomes.count { if case .refused = $0 { true } else { false } }
        }
        // A leader answers for its stream before it takes messages.
        try eventually("the new leader takes messages", timeout: .seconds(60)) {
            try client.publish(2_002)
            usleep(100_000)
            return refusedCount() > 0
        }
        let before = refusedCount()
        try client.publish(2_002...2_100)
        try eventually("refusals") { refusedCount() >= before + 99 }
        #expect(client.outcomes.allSatisfy { if case .refused = $0 { true } else { $0 == .noResponders(token: 2_002) } })
        #expect(client.stored == Set(1...2_000))
        try client.publish(2_001...4_000)
        try client.awaitStored(1...4_000)
        #expect(try connection.streamInfo(TestClient.stream)?.state.messages == 4_000)
    }

    @Test func whatIsStoredAlreadyIsADuplicateHoweverTheChainStands() throws {
        let servers = try Self.cluster()
        let client = try TestClient(TestClient.options(urls: servers.map(\.url)))
        _ = try Self.createStream(over: client.connection)
        try client.publish(1...3)
        try client.awaitStored(1...3)
        try client.publish(2)
        try eventually("an answer") { client.outcomes == [.duplicate(token: 2, sequence: 2)] }
    }
}
