import Glibc

/// The service manager that started the process and wants to hear of its state: systemd, by the protocol of sd_notify(3).
///
/// The protocol is one datagram a message. libsystemd would be one more library in every image for that.
package struct ServiceManager {
    /// Where it listens.
    private let address: sockaddr_un
    private let addressLength: socklen_t
    /// It wants to hear at least so often that the process lives; nil: it does not ask for that.
    package let watchdogInterval: Duration?

    /// nil: no manager listens.
    package init?(environment: [String: String]) {
        guard let path = environment["NOTIFY_SOCKET"], let first = path.utf8.first else { return nil }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(path.utf8)
        // An abstract socket, whose name begins with a NUL.
        if first == UInt8(ascii: "@") { bytes[0] = 0 }
        guard first == UInt8(ascii: "@") || first == UInt8(ascii: "/"), bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        self.address = address
        addressLength = socklen_t(MemoryLayout.size(ofValue: address.sun_family) + bytes.count)
        let isOurs = environment["WATCHDOG_PID"].map { $0 == String(getpid()) } ?? true
        watchdogInterval = isOurs ? environment["WATCHDOG_USEC"].flatMap { Int64($0) }.flatMap { $0 > 0 ? .microseconds($0) : nil } : nil
    }

    /// Sends lines such as `READY=1`; a manager that does not take them is not waited for.
    package func tell(_ lines: String...) {
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { return }
        defer { close(socket) }
        let message = Array(lines.joined(separator: "\n").utf8)
        var address = address
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = sendto(socket, message, message.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT), $0, addressLength)
            }
        }
    }
}
