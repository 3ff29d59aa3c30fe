import Dispatch
import FoundationEssentials
import Glibc
import Synchronization

/// The INFO line that a NATS server sends to whoever connects, before TLS and before anybody says who they are.
enum ServerGreeting {
    /// What of it is of use to us.
    struct Info: Decodable, Sendable {
        var version: String
        /// Whether the server demands a certificate of whoever connects.
        var demandsCertificate: Bool?
        /// The name of the cluster that the server belongs to.
        var cluster: String?

        enum CodingKeys: String, CodingKey {
            case version, cluster
            case demandsCertificate = "tls_verify"
        }
    }

    /// Longer than INFO ever is: it lists the cluster's URLs.
    private static let byteCountLimit = 64 * 1_024

    /// What a thread that may be given up hands over.
    private final class Answer: Sendable {
        let info = Mutex<Info?>(nil)
        let isThere = Latch()
    }

    /// The greeting of the server at `host`; nil if it does not come in time.
    ///
    /// Read by a thread of its own: resolving a name has no limit.
    static func read(host: String, port: UInt16, timeout: Duration) -> Info? {
        let answer = Answer()
        let deadline = ContinuousClock.now + timeout
        DispatchQueue(label: "slotstream.nats.greeting").async {
            let info = read(host: host, port: port, deadline: deadline)
            answer.info.withLock { $0 = info }
            answer.isThere.open()
        }
        _ = answer.isThere.wait(timeout)
        return answer.info.withLock { $0 }
    }

    private static func read(host: String, port: UInt16, deadline: ContinuousClock.Instant) -> Info? {
        guard let line = line(host: host, port: port, deadline: deadline) else { return nil }
        let prefix = Array("INFO ".utf8)
        guard line.starts(with: prefix) else { return nil }
        return try? JSONDecoder().decode(Info.self, from: Data(line.dropFirst(prefix.count)))
    }

    private static func line(host: String, port: UInt16, deadline: ContinuousClock.Instant) -> [UInt8]? {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var addresses: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &addresses) == 0 else { return nil }
        defer { freeaddrinfo(addresses) }
        var next = addresses
        while let address = next?.pointee {
            if let line = line(address, deadline) { return line }
            next = address.ai_next
        }
        return nil
    }

    private static func line(_ address: addrinfo, _ deadline: ContinuousClock.Instant) -> [UInt8]? {
        let kind = address.ai_socktype | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.ai_family, kind, address.ai_protocol)
        guard descriptor >= 0 else { return nil }
        defer { Glibc.close(descriptor) }
        if connect(descriptor, address.ai_addr, address.ai_addrlen) != 0 {
            guard errno == EINPROGRESS, isReady(descriptor, POLLOUT, deadline) else { return nil }
        }
        var line: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4_096)
        while line.count < byteCountLimit, isReady(descriptor, POLLIN, deadline) {
            let count = recv(descriptor, &chunk, chunk.count, 0)
            guard count > 0 else { return nil }
            line += chunk[..<count]
            if let end = line.firstIndex(of: UInt8(ascii: "\n")) { return Array(line[..<end]) }
        }
        return nil
    }

    private static func isReady(_ descriptor: CInt, _ event: CInt, _ deadline: ContinuousClock.Instant) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(event), revents: 0)
        let rest = (deadline - .now).wholeMilliseconds
        return rest > 0 && poll(&entry, 1, CInt(clamping: rest)) == 1
    }
}
