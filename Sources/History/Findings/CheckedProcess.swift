/// This machine, the process and its files, for `check`.
package struct CheckedProcess: Sendable {
    /// Files with secrets that every user can read, with the keys that name them.
    package var openSecrets: [(file: String, key: String)] = []
    /// `http.listen`; nil: off.
    package var listen: (host: String, port: Int)?
    package var isInPod = false
    /// Open files at most; nil: not known.
    package var descriptorLimit: UInt64?
    /// In bytes; nil: none, or not known.
    package var memoryLimit: UInt64?
    /// `delivery.in_flight_bytes`
    package var inFlightBytes = 0

    package init() {}

    /// Both servers, HTTP and files: more than the streamer ever has open.
    private static let descriptorsNeeded: UInt64 = 256
    /// Beside what is in flight.
    private static let memoryNeeded: UInt64 = 64 * 1024 * 1024

    /// What is wrong here.
    package var findings: [Finding] {
        var findings = openSecrets.map { Finding.secretOpenToOthers(file: $0.file, key: $0.key) }
        if isInPod, let listen, Self.isLoopback(listen.host) {
            findings.append(
                Finding(
                    .loopbackInPod, "http.listen", "http.listen is \(listen.host):\(listen.port) inside a pod", why: "Kubernetes cannot reach the probes",
                    paste: .setting("http.listen = \"0.0.0.0:\(listen.port)\"")))
        }
        if let descriptorLimit, descriptorLimit < Self.descriptorsNeeded {
            findings.append(
                Finding(
                    .processLimit, "open files", "the process may have \(descriptorLimit) files open",
                    why: "the streamer can run out of file descriptors", paste: .command("ulimit -n 1024")))
        }
        let needed = UInt64(max(0, inFlightBytes)) * 2 + Self.memoryNeeded
        if let memoryLimit, memoryLimit < needed {
            findings.append(
                Finding(
                    .processLimit, "memory", "the process may use \(memoryLimit / 1024 / 1024) MiB of memory", why: "the kernel can end the streamer",
                    fix: "Raise the memory limit of the container or the service to \(needed / 1024 / 1024 + 1) MiB"))
        }
        return findings
    }

    private static func isLoopback(_ host: String) -> Bool { host == "localhost" || host == "::1" || host.hasPrefix("127.") }
}
