import Foundation
import LoopbackPorts
import Testing

/// A `nats-server` of our own: free port, temporary folder, ended by its process id.
// Sendable because a test uses its server from one thread at a time.
final class NatsServer: @unchecked Sendable {
    /// Which server to start.
    enum Version: CaseIterable, CustomTestStringConvertible {
        /// The two ends: what differs in between has tests of its own.
        static let allCases: [Version] = [.oldest, .newest]

        /// Debian's 2.9.10, in PATH.
        case oldest
        /// 2.10.26, in `$SLOTSTREAM_TOOLS/nats-server-2.10.26`.
        case middle
        /// 2.15.1, in `NATS_SERVER_2_15` or `$SLOTSTREAM_TOOLS/bin/nats-server`.
        case newest

        var testDescription: String { "nats-server \(prefix.dropLast())" }

        /// What the server's own version begins with.
        var prefix: String {
            switch self {
            case .oldest: "2.9."
            case .middle: "2.10."
            case .newest: "2.15."
            }
        }

        /// The binary; a missing one is a failure, never a skip.
        func binary() throws -> String {
            let environment = ProcessInfo.processInfo.environment
            let tools = environment["SLOTSTREAM_TOOLS"]
            let candidates: [String]
            switch self {
            case .oldest:
                candidates = (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/nats-server" }
            case .middle:
                candidates = [tools.map { "\($0)/nats-server-2.10.26/bin/nats-server" }].compactMap { $0 }
            case .newest:
                candidates = [environment["NATS_SERVER_2_15"], tools.map { "\($0)/bin/nats-server" }].compactMap { $0 }
            }
            for path in candidates where FileManager.default.isExecutableFile(atPath: path) {
                // PATH may have another version first.
                if try shell(path, ["--version"]).contains("v\(prefix)") { return path }
            }
            throw TestFailure("no \(testDescription) among \(candidates)")
        }
    }

    let folder: URL
    let port: UInt16
    private let binary: String
    private var process: Process?

    /// Starts a server with JetStream and `configuration` in its file.
    init(_ version: Version, configuration: String = "", name: String = "test") throws {
        binary = try version.binary()
        folder = try temporaryFolder("nats")
        port = try freePort()
        let text = """
            listen: "127.0.0.1:\(port)"
            server_name: "\(name)"
            jetstream { store_dir: "\(folder.path)/data", max_file_store: 1GB, max_memory_store: 64MB }
            \(configuration)
            """
        try text.write(to: folder.appendingPathComponent("nats.conf"), atomically: true, encoding: .utf8)
        try start()
    }

    deinit {
        signal(SIGCONT)
        kill()
        try? FileManager.default.removeItem(at: folder)
    }

    var url: String { "nats://127.0.0.1:\(port)" }

    /// Starts it (again) and waits until it greets.
    func start() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: binary)
        process.arguments = ["-c", folder.appendingPathComponent("nats.conf").path]
        let log = folder.appendingPathComponent("log").path
        try Data().write(to: URL(fileURLWithPath: log))
        process.standardOutput = FileHandle(forWritingAtPath: log)
        process.standardError = process.standardOutput
        try process.run()
        self.process = process
        try eventually("the server greets") {
            guard process.isRunning else {
                throw TestFailure("nats-server ended: " + ((try? String(contentsOfFile: log, encoding: .utf8)) ?? ""))
            }
            return canConnect(self.port)
        }
    }

    /// kill -9, and waits for the end.
    func kill() {
        signal(SIGKILL)
        process?.waitUntilExit()
        process = nil
    }

    /// Sends a signal to the server.
    func signal(_ number: Int32) {
        guard let process, process.isRunning else { return }
        Foundation.kill(process.processIdentifier, number)
    }
}
