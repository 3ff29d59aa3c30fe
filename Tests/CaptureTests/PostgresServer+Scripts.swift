import Foundation
import PrivateServers

extension PostgresServer {
    /// For everything that is captured; each user has a database of its own.
    static let shared = Result { try PostgresServer(settings: ["max_replication_slots = 100"]) }

    /// Runs a psql script and gives back the lines that it prints: rows without padding and headings.
    ///
    /// The session is pinned as `PostgresReplication` pins its own.
    func run(_ script: String, database: String, encoding: String = "UTF8") throws -> [String] {
        let files = try temporaryFolder("psql")
        defer { try? FileManager.default.removeItem(at: files) }
        // Files, not pipes: another process that is started meanwhile would hold a pipe's end open.
        let input = files.appendingPathComponent("in.sql")
        let output = files.appendingPathComponent("out")
        try Data(script.utf8).write(to: input)
        try Data().write(to: output)

        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.binaries + "/psql")
        process.arguments = [
            "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", folder, "-p", "\(port)", "-U", "postgres", "-d", database, "-f",
            input.path,
        ]
        let settings = [
            "TimeZone=UTC", "DateStyle=ISO", "extra_float_digits=1", "bytea_output=hex", "IntervalStyle=postgres",
        ]
        process.environment = [
            "PGOPTIONS": settings.map { "-c \($0)" }.joined(separator: " "), "PGCLIENTENCODING": encoding,
        ]
        let handle = try FileHandle(forWritingTo: output)
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        process.waitUntilExit()
        let text = String(decoding: try Data(contentsOf: output), as: UTF8.self)
        guard process.terminationStatus == 0 else { throw TestFailure(text) }
        return text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }
}
