package import Foundation

/// A `nats-server` of a test's own, with JetStream: a free port on 127.0.0.1, a temporary folder, ended by its process id.
// Sendable because a test uses its server from one thread at a time.
package final class NatsServer: @unchecked Sendable {
    /// Which server to start.
    package enum Version: Sendable, CaseIterable, CustomStringConvertible {
        /// The two ends: what differs in between has tests of its own.
        package static let allCases: [Version] = [.oldest, .newest]

        /// Debian's 2.9.10, in PATH.
        case oldest
        /// 2.10.26, in `$SLOTSTREAM_TOOLS/nats-server-2.10.26`.
        case middle
        /// 2.15.1, in `NATS_SERVER_2_15` or `$SLOTSTREAM_TOOLS/bin/nats-server`.
        case newest

        package var description: String { "nats-server \(prefix.dropLast())" }

        /// What the server's own version begins with.
        package var prefix: String {
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
                let said = try output(of: path, ["--version"])
                if String(decoding: said, as: UTF8.self).contains("v\(prefix)") { return path }
            }
            throw TestFailure("no \(self) among \(candidates)")
        }
    }

    package let folder: URL
    package let port: UInt16
    private let binary: String
    private var process: Process?

    private var log: String { folder.appendingPathComponent("log").path }

    /// Starts a server with `configuration` in its file, and `limits` in its JetStream block.
    package init(_ version: Version, configuration: String = "", limits: String = "", name: String = "test") throws {
        binary = try version.binary()
        folder = try temporaryFolder("nats")
        port = try freePort()
        let text = """
            listen: "127.0.0.1:\(port)"
            server_name: "\(name)"
            jetstream { store_dir: "\(folder.path)/data"; max_file_store: 1GB; max_memory_store: 64MB; \(limits) }
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

    package var url: String { "nats://127.0.0.1:\(port)" }

    /// Starts it (again) and waits until it takes clients, which it does when JetStream has recovered.
    package func start() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: binary)
        process.arguments = ["-c", folder.appendingPathComponent("nats.conf").path]
        try Data().write(to: URL(fileURLWithPath: log))
        process.standardOutput = FileHandle(forWritingAtPath: log)
        process.standardError = process.standardOutput
        try process.run()
        self.process = process
        try eventually("nats-server is ready") {
            let said = (try? String(contentsOfFile: self.log, encoding: .utf8)) ?? ""
            guard process.isRunning else { throw TestFailure("nats-server ended: \(said)") }
            return said.contains("Server is ready")
        }
    }

    /// kill -9, and waits for the end.
    package func kill() {
        signal(SIGKILL)
        process?.waitUntilExit()
        process = nil
    }

    /// Sends a signal to the server.
    package func signal(_ number: Int32) {
        guard let process, process.isRunning else { return }
        Foundation.kill(process.processIdentifier, number)
    }
}

/// A new folder that nobody else uses.
package func temporaryFolder(_ name: String) throws -> URL {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("\(name)-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
}

/// Runs a program and returns the bytes that it wrote to stdout.
package func output(of path: String, _ arguments: [String]) throws -> Data {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
        throw TestFailure("\(path) \(arguments) ended with \(process.terminationStatus)")
    }
    return data
}
