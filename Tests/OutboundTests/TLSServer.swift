import Foundation
import PrivateServers

/// A web server of TLS, of OpenSSL's own, which answers each GET with 200.
final class TLSServer {
    let port: UInt16
    private let process = Process()

    init(_ certificates: Certificates, certificate: String = "server", options: [String] = []) throws {
        port = try freePort()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments =
            [
                "s_server", "-accept", "127.0.0.1:\(port)", "-www", "-cert", certificates.path("\(certificate).pem"), "-key",
                certificates.path("\(certificate).key"),
            ] + options
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        // "ACCEPT" on a line, once it listens.
        var said = Data()
        while !said.contains("ACCEPT".utf8) {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw TestFailure("openssl s_server has ended: \(String(decoding: said, as: UTF8.self))") }
            said.append(more)
        }
    }

    deinit {
        // A thread that starts processes may have all other signals blocked, and so has what it starts.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    func url(_ host: String) -> String { "https://\(host):\(port)/" }
}
