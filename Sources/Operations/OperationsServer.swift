import HummingbirdCore
package import Logging
import NIOCore
import NIOPosix
package import Pipeline
import ServiceLifecycle
import Synchronization

/// Answers `OperationsEndpoint`s over HTTP/1.1 for as long as it runs; reads only.
///
/// One event loop thread of its own, bounded in connections, in header and body sizes and in time, so that no
/// client makes the streamer slower or larger, nor keeps another out. Whoever can connect can read: there is no authentication and no TLS,
/// which is why the default address is loopback.
package struct OperationsServer: Service {
    /// Bytes of a request's header fields, all together.
    static let headerByteLimit = 16 * 1024
    /// Bytes of a body that is read and thrown away; an announced larger one is answered 413 and cut off.
    static let bodyByteLimit = 4 * 1024

    /// How long a connection lives without the head of a next request: for sending one, for taking its answer, and for silence.
    var exchangeTime: Duration = .seconds(10)
    /// Lives as long as the process: a connection that closes late still schedules work on it.
    private static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    private let address: ServerAddress
    private let responder: OperationsResponder
    private let logger: Logger
    private let onListening: @Sendable (_ host: String, _ port: Int) -> Void

    /// A server that does nothing until it is run.
    /// - Parameters:
    ///   - listen: A name, or a number without brackets, and the port; 0 takes a free one.
    ///   - status: Asked for every request; must not block.
    ///   - recent: Asked for the page; must not block. nil: there is no page.
    ///   - refreshMetrics: Called before each scrape, to set the gauges that nobody sets otherwise; must not block.
    ///   - registry: What `/metrics` shows.
    ///   - logger: Gets one line when the server listens; Hummingbird's own lines below `notice` are left out.
    ///   - onListening: Called once, with the address and the port that are bound.
    package init(
        listen: (host: String, port: Int),
        status: @escaping @Sendable () -> any ServedStatus,
        recent: (@Sendable () -> RecentActivity)?,
        refreshMetrics: @escaping @Sendable () -> Void,
        registry: PrometheusRegistry,
        logger: Logger,
        onListening: @escaping @Sendable (_ host: String, _ port: Int) -> Void = { _, _ in }
    ) {
        self.address = ServerAddress(listen)
        self.responder = OperationsResponder(
            status: status, recent: recent, refreshMetrics: refreshMetrics, registry: registry, hosts: HostRule(listenHost: listen.host))
        self.logger = logger
        self.onListening = onListening
    }

    /// Serves until graceful shutdown or cancellation; then answers what it is answering, and returns.
    /// - Throws: `OperationsError.listenFailed` before anything is served, `.serverFailed` after.
    package func run() async throws(OperationsError) {
        // NIO's conversion to 16 bits traps.
        guard (0...65535).contains(address.port) else {
            throw .listenFailed(address: "\(address)", reason: "a port is 0 to 65535")
        }
        let hasListened = Mutex(false)
        var failure: OperationsError?
        do {
            try await service { hasListened.withLock { $0 = true } }.run()
        } catch {
            let reason = ServerAddress.reason(error)
            if Task.isCancelled {
                failure = nil
            } else if hasListened.withLock({ $0 }) {
                failure = .serverFailed(address: "\(address)", reason: reason)
            } else {
                failure = .listenFailed(address: "\(address)", reason: reason)
            }
        }
        if let failure { throw failure }
    }

    /// An answer that could not be sent whole.
    private struct AnswerCutOff: Error {}

    /// Hummingbird's server, in a group of its own, which tells a server that ends by itself from one that was told to.
    private func service(listening: @escaping @Sendable () -> Void) throws -> ServiceGroup {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .notice)
        let table = ConnectionTable(exchangeTime: exchangeTime)
        let server = try HTTPServerBuilder.http1(
            configuration: HTTP1Channel.Configuration(
                additionalChannelHandlers: [ConnectionTableHandler(table)],
                httpDecoderConfiguration: HTTP1Channel.Configuration.DecoderConfiguration(
                    maxHeaderFieldSize: Self.headerByteLimit, maxHeaderListSize: Self.headerByteLimit,
                    maxHeaderFieldCount: 100))
        ).buildServer(
            configuration: ServerConfiguration(address: .hostname(address.host, port: address.port)),
            eventLoopGroup: Self.group, logger: quiet,
            responder: { [responder] request, writer, channel in
                table.progressed(channel)
                let response = responder.respond(to: request, on: channel)
                do {
                    try await writer.write(response: response.head, body: response.body)
                } catch {
                    // Never the error itself: Hummingbird answers a parser's, and an answer has begun.
                    throw AnswerCutOff()
                }
            },
            onServerRunning: { [address, logger, onListening] channel in
                listening()
                let host = channel.localAddress?.ipAddress ?? address.host
                let port = channel.localAddress?.port ?? address.port
                logger.info("HTTP listens", metadata: ["address": "\(ServerAddress((host, port)))"])
                onListening(host, port)
            })
        return ServiceGroup(configuration: ServiceGroupConfiguration(services: [server], logger: quiet))
    }
}
