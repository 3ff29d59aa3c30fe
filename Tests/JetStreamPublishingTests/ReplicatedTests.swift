import Foundation
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

    @Test func theChainHoldsWhenTheLeaderStepsDown() throws {
        let servers = try Self.cluster()
        let client = try TestClient(JetStreamConnectionOptions(urls: servers.map(\.url)))
        let connection = client.connection
        let wanted = StreamConfiguration(
            name: TestClient.stream, subjectPrefix: "shop", duplicateWindow: .seconds(120), replicas: 3)
        let created = try retrying { try connection.createStream(wanted) }
        #expect(StreamDifference.compare(created.config, wanted).isEmpty)
        try eventually("a majority", timeout: .seconds(60)) {
            try connection.streamInfo(TestClient.stream)?.cluster?.hasCurrentMajority == true
        }
        try client.publish(1...2_000)
        try client.awaitStored(1...2_000)
        let cluster = try #require(try connection.streamInfo(TestClient.stream)?.cluster)
        let leader = try #require(cluster.leader)
        #expect(cluster.replicas.count == 2)

        try connection.stepDownLeader(TestClient.stream)
        try eventually("another leader", timeout: .seconds(60)) {
            let cluster = try connection.streamInfo(TestClient.stream)?.cluster
            return cluster?.leader != nil && cluster?.leader != leader && cluster?.hasCurrentMajority == true
        }
        #expect(try retrying { try connection.lastMessage(TestClient.stream) }?.sequence == 2_000)
        try client.publish(2_002...2_100)
        try eventually("refusals") { client.outcomes.count == 99 }
        #expect(client.outcomes.allSatisfy { if case .refused = $0 { true } else { false } })
        try client.publish(2_001...4_000)
        try client.awaitStored(1...4_000)
        #expect(try connection.streamInfo(TestClient.stream)?.state.messages == 4_000)
    }

    @Test func whatIsStoredAlreadyIsADuplicateHoweverTheChainStands() throws {
        let servers = try Self.cluster()
        let client = try TestClient(JetStreamConnectionOptions(urls: servers.map(\.url)))
        _ = try retrying {
            try client.connection.createStream(
                StreamConfiguration(
                    name: TestClient.stream, subjectPrefix: "shop", duplicateWindow: .seconds(120), replicas: 3))
        }
        try client.publish(1...3)
        try client.awaitStored(1...3)
        try client.publish(2)
        try eventually("an answer") { client.outcomes == [.duplicate(token: 2, sequence: 2)] }
    }
}
