import Foundation
import PrivateServers
import Testing

@testable import JetStreamPublishing

@Suite("Replicated streams", .serialized)
struct ReplicatedTests {
    private static let wanted = NatsCluster.wanted

    @Test func theChainHoldsWhenTheLeaderStepsDown() throws {
        let cluster = try NatsCluster(.newest)
        let client = try TestClient(TestClient.options(urls: cluster.urls))
        let connection = client.connection
        let created = try NatsCluster.createStream(over: connection)
        #expect(StreamDifference.compare(created.config, Self.wanted).isEmpty)
        try eventually("a majority", timeout: .seconds(60)) {
            NatsCluster.state(over: connection)?.hasCurrentMajority == true
        }
        try client.publish(1...2_000)
        try client.awaitStored(1...2_000)
        let group = try #require(try connection.streamInfo(TestClient.stream)?.cluster)
        let leader = try #require(group.leader)
        #expect(group.replicas.count == 2)

        try connection.stepDownLeader(TestClient.stream)
        try eventually("another leader", timeout: .seconds(60)) {
            guard let group = NatsCluster.state(over: connection) else { return false }
            return group.leader != nil && group.leader != leader && group.hasCurrentMajority
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
        let cluster = try NatsCluster(.newest)
        let client = try TestClient(TestClient.options(urls: cluster.urls))
        _ = try NatsCluster.createStream(over: client.connection)
        #expect(client.connection.isStandalone == false)
        #expect(NatsCluster.state(over: client.connection)?.name == "test")
        try client.publish(1...3)
        try client.awaitStored(1...3)
        try client.publish(2)
        try eventually("an answer") { client.outcomes == [.duplicate(token: 2, sequence: 2)] }
    }
}
