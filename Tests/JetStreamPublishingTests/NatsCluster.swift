import PrivateServers
import Testing

@testable import JetStreamPublishing

/// Three servers of one version, as one cluster.
struct NatsCluster {
    /// The stream that its tests want.
    static let wanted = StreamConfiguration(
        name: TestClient.stream, subjectPrefix: "shop", duplicateWindow: .seconds(120), replicas: 3)

    let servers: [NatsServer]

    init(_ version: NatsServer.Version) throws {
        let ports = try (0..<3).map { _ in try freePort() }
        let routes = ports.map { "nats://127.0.0.1:\($0)" }.joined(separator: ", ")
        servers = try ports.enumerated().map { index, port in
            try NatsServer(
                version,
                configuration: "cluster { name: test, listen: \"127.0.0.1:\(port)\", routes: [\(routes)] }",
                name: "n\(index)")
        }
    }

    var urls: [String] { servers.map(\.url) }

    /// The server of that name.
    func server(_ name: String) throws -> NatsServer {
        let index = try #require(Int(name.dropFirst()))
        return servers[index]
    }

    /// A new cluster has no suitable peers until its last server has joined, and is silent while it elects.
    static func createStream(
        _ wanted: StreamConfiguration = NatsCluster.wanted, over connection: JetStreamConnection
    ) throws -> StreamInfo {
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
        try eventually("a majority", timeout: .seconds(60)) { state(over: connection)?.hasCurrentMajority == true }
        return try #require(created)
    }

    /// How the stream's servers stand; nil while nobody answers, as between two leaders.
    static func state(over connection: JetStreamConnection) -> StreamInfo.Cluster? {
        (try? connection.streamInfo(TestClient.stream, timeout: .seconds(1)))?.cluster
    }
}
