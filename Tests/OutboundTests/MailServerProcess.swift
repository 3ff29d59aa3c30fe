import Foundation
import PrivateServers

@testable import Outbound

/// A mail server of somebody else's making (aiosmtpd), which tells each mail as Python's own parser reads it.
final class MailServerProcess {
    /// A mail as it came.
    struct Received: Decodable, Equatable {
        let from: String
        let to: [String]
        let headers: [String: String]
        let text: String
        /// What the parser complains of.
        let defects: [String]
        let longest_line: Int
        let is_ascii: Bool
        let encrypted: Bool
        let authenticated: Bool
    }

    let port: UInt16
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private var unread = Data()

    /// - Parameters:
    ///   - certificate: of `certificates`.
    ///   - credentials: name and password that it wants; none if empty.
    init(
        _ security: MailServer.Security, _ certificates: Certificates, certificate: String = "server", credentials: [String] = []
    ) throws {
        guard let tools = ProcessInfo.processInfo.environment["SLOTSTREAM_TOOLS"] else { throw TestFailure("SLOTSTREAM_TOOLS is not set") }
        guard let script = Bundle.module.url(forResource: "mail_server", withExtension: "py") else { throw TestFailure("no mail_server.py") }
        port = try freePort()
        process.executableURL = URL(fileURLWithPath: "\(tools)/bin/python")
        process.arguments =
            ["-B", script.path, "\(port)", "\(security)", certificates.path("\(certificate).pem"), certificates.path("\(certificate).key")]
            + credentials
        process.standardInput = input
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        guard try nextLine() == #""ready""# else { throw TestFailure("the mail server does not start") }
    }

    deinit {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    /// The next mail, which somebody has been told is taken.
    func next() throws -> Received { try JSONDecoder().decode(Received.self, from: Data(try nextLine().utf8)) }

    private func nextLine() throws -> String {
        while true {
            if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
                defer { unread.removeSubrange(...end) }
                return String(decoding: unread[..<end], as: UTF8.self)
            }
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw TestFailure("the mail server has ended") }
            unread.append(more)
        }
    }
}
