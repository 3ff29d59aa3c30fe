import NIOCore
import NIOPosix

/// Asks a running streamer over HTTP: `slotstream health`, and what `slotstream status` adds to the servers' own words.
///
/// One connection, one GET, one deadline over all of it; an event loop thread of its own for as long as it takes.
package enum HealthProbe {
    /// What a streamer answered.
    package struct Answer: Sendable, Equatable {
        /// HTTP's three digits.
        package let statusCode: Int
        /// As sent: JSON, or text for the metrics and for errors.
        package let body: [UInt8]

        /// The endpoint said yes: 200. For `.live` and `.ready` that is the whole verdict.
        package var isPositive: Bool { statusCode == 200 }
    }

    /// Bytes of an answer, head and body: far above a scrape with every series that there can be.
    static let answerByteLimit = 16 * 1024 * 1024

    /// Gets one endpoint's answer, whatever its status code is.
    /// - Parameters:
    ///   - listen: The streamer's `http.listen`; one for all addresses (`0.0.0.0`, `::`) means this machine.
    ///   - timeout: For resolving, connecting, sending and reading together.
    /// - Throws: `.probeUnreachable`, `.probeTimedOut`, `.probeAnswerInvalid`.
    package static func get(
        _ endpoint: OperationsEndpoint, from listen: (host: String, port: Int), timeout: Duration = .seconds(3)
    ) async throws(OperationsError) -> Answer {
        let address = ServerAddress(listen)
        // NIO's conversion to 16 bits traps.
        guard (1...65535).contains(address.port) else {
            throw .probeUnreachable(address: "\(address)", reason: "a port is 1 to 65535")
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let deadline = NIODeadline.now() + TimeAmount(timeout)
        let result: Result<[UInt8], any Error>
        do {
            result = .success(try await exchange(endpoint, with: address, until: deadline, on: group))
        } catch {
            result = .failure(error)
        }
        let timeIsUp = NIODeadline.now() >= deadline
        // It can only fail when it is shut down already.
        try? await group.shutdownGracefully()
        return try verdict(result, timeIsUp ? timeout : nil, address)
    }

    /// - Returns: What came until the other side, the deadline or the byte limit ended the connection.
    private static func exchange(
        _ endpoint: OperationsEndpoint, with address: ServerAddress, until deadline: NIODeadline,
        on group: MultiThreadedEventLoopGroup
    ) async throws -> [UInt8] {
        let connection = try await ClientBootstrap(group: group)
            .connectTimeout(deadline - .now())
            .connect(host: address.host, port: address.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        let channel = connection.channel
        // Closing ends a read that nothing else would end.
        let timer = channel.eventLoop.scheduleTask(deadline: deadline) { channel.close(promise: nil) }
        defer { timer.cancel() }
        return try await connection.executeThenClose { inbound, outbound in
            let request = "GET \(endpoint.rawValue) HTTP/1.1\r\nHost: \(address)\r\nConnection: close\r\n\r\n"
            try await outbound.write(ByteBuffer(string: request))
            var bytes: [UInt8] = []
            for try await chunk in inbound {
                bytes += chunk.readableBytesView
                if bytes.count > answerByteLimit { break }
            }
            return bytes
        }
    }

    /// - Parameter expired: The timeout, when it is over.
    private static func verdict(
        _ result: Result<[UInt8], any Error>, _ expired: Duration?, _ address: ServerAddress
    ) throws(OperationsError) -> Answer {
        switch result.map(HTTPAnswer.init) {
        case .success(.complete(let statusCode, let body)):
            return Answer(statusCode: statusCode, body: body)
        case .success(.invalid(let reason)):
            throw .probeAnswerInvalid(address: "\(address)", reason: reason)
        case .success(.incomplete):
            if let expired { throw .probeTimedOut(address: "\(address)", timeout: expired) }
            throw .probeUnreachable(address: "\(address)", reason: "the connection was cut off in the answer")
        case .failure(let error):
            if let expired { throw .probeTimedOut(address: "\(address)", timeout: expired) }
            throw .probeUnreachable(address: "\(address)", reason: ServerAddress.reason(error))
        }
    }
}
