import Foundation
import History
import JetStreamPublishing
import LoopbackPorts

@testable import Pipeline

/// A `nats-server` of our own: free port, temporary folder, ended by its process id. The oldest supported one from PATH, or the newest, which takes atomic batches.
// Sendable because a test uses its server from one thread at a time.
final class NatsServer: @unchecked Sendable {
    private let folder: URL
    private let port: UInt16
    private let binary: String
    private var process: Process?

    /// - Parameter limits: What else stands in the server's `jetstream` block.
    init(isNewest: Bool = false, limits: String = "") throws {
        let environment = ProcessInfo.processInfo.environment
        let candidates =
            isNewest
            ? [environment["SLOTSTREAM_TOOLS"].map { "\($0)/bin/nats-server" }].compactMap { $0 }
            : (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/nats-server" }
        guard let binary = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
            throw TestFailure("no nats-server in \(isNewest ? "$SLOTSTREAM_TOOLS/bin" : "PATH")")
        }
        self.binary = binary
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("pipeline-nats-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        port = try freePort()
        try "jetstream { store_dir: \"\(folder.path)\"; \(limits) }"
            .write(to: folder.appendingPathComponent("nats.conf"), atomically: true, encoding: .utf8)
        try start()
    }

    deinit {
        signal(SIGCONT)
        kill()
        try? FileManager.default.removeItem(at: folder)
    }

    var options: JetStreamConnectionOptions { JetStreamConnectionOptions(urls: ["nats://127.0.0.1:\(port)"]) }

    /// Starts it (again) and waits until JetStream answers.
    func start() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: binary)
        process.arguments = [
            "-a", "127.0.0.1", "-p", "\(port)", "-c", folder.appendingPathComponent("nats.conf").path,
        ]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        self.process = process
        try eventually("nats-server answers") {
            guard process.isRunning else { throw TestFailure("nats-server ended") }
            guard let link = try? connect() else { return false }
            defer { link.connection.close() }
            do { return try link.connection.streamInfo("none", timeout: .milliseconds(500)) == nil } catch {
                return false
            }
        }
    }

    /// A connection with a mailbox of its own, for stream `S`.
    func connect() throws(StreamerError) -> NATSLink { try NATSLink.connected(options, stream: "S") }

    /// kill -9, and waits for the end.
    func kill() {
        signal(SIGKILL)
        process?.waitUntilExit()
        process = nil
    }

    func signal(_ number: Int32) {
        guard let process, process.isRunning else { return }
        Foundation.kill(process.processIdentifier, number)
    }
}
