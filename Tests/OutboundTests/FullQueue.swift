import Glibc
import PrivateServers

/// A port whose queue of connections is full, and stays so: the kernel answers to no further one.
final class FullQueue {
    let port: UInt16
    private let listener: Int32
    private var clients: [Int32] = []

    init() throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutableBytes(of: &name) { bytes in
            let name = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self)
            return bind(listener, name, size) == 0 && listen(listener, 0) == 0 && getsockname(listener, name, &size) == 0
        }
        guard isListening else { throw TestFailure("cannot listen") }
        port = UInt16(bigEndian: name.sin_port)
        self.listener = listener
        // More than the queue has places; those without one go on asking.
        for _ in 0..<4 {
            let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
            _ = withUnsafeBytes(of: &name) { connect(client, $0.baseAddress?.assumingMemoryBound(to: sockaddr.self), size) }
            clients.append(client)
        }
    }

    deinit { for descriptor in clients + [listener] { close(descriptor) } }
}
