import CoreMetrics
import Logging
import Pipeline
import ServiceLifecycle
import Synchronization

@testable import Operations

/// What a test's server shows: set by the test, read by the server.
final class ServerFixture: Sendable {
    let registry = PrometheusRegistry()
    private let observations = Observations(slot: "s", stream: "n", readyMaxLagBytes: 0, metrics: NOOPMetricsHandler.instance)
    private let current: Mutex<StreamerStatus>
    private let refreshCount = Atomic<Int>(0)

    var status: StreamerStatus {
        get { current.withLock { $0 } }
        set { current.withLock { $0 = newValue } }
    }
    /// How often the server asked for fresh gauges.
    var refreshes: Int { refreshCount.load(ordering: .relaxed) }

    init() throws {
        current = Mutex(
            try StreamerStatus(
                json: Array(
                    #"""
                    {"schema":"slotstream.status/1","role":"active","live":true,"ready":true,"reasons":[],"version":"9",
                    "source":{"slot":"fraiseql_events","lag_bytes":7},"stream":{"name":"fraiseql_events"}}
                    """#.utf8)))
    }

    func server(
        host: String = "127.0.0.1", port: Int = 0,
        onListening: @escaping @Sendable (_ host: String, _ port: Int) -> Void = { _, _ in }
    ) -> OperationsServer {
        OperationsServer(
            listen: (host, port), status: { self.status },
            recent: { self.observations.recentActivity() },
            refreshMetrics: { self.refreshCount.add(1, ordering: .relaxed) }, registry: registry,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, onListening: onListening)
    }

    /// Runs a server on a free port for as long as `body` runs, then shuts it down as the program does.
    static func serving(
        exchangeTime: Duration = .seconds(30),
        _ body: (ServerFixture, _ address: (host: String, port: Int)) async throws -> Void
    ) async throws {
        let fixture = try ServerFixture()
        let (addresses, found) = AsyncStream.makeStream(of: (host: String, port: Int).self)
        var server = fixture.server { host, port in
            found.yield((host, port))
            found.finish()
        }
        server.exchangeTime = exchangeTime
        let group = ServiceGroup(
            services: [server], logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                defer { found.finish() }
                try await group.run()
            }
            for await address in addresses { try await body(fixture, address) }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }
}
