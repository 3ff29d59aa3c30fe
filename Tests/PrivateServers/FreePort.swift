import Glibc
import Synchronization

private let chosen = Mutex<Set<UInt16>>([])

/// Nothing is free.
package struct NoFreePort: Error {
    init() {}
}

/// A port of 127.0.0.1 that is free now, chosen once, below those that the kernel gives to clients and those of the end-to-end
/// tests: a server that is started later, or again, finds it free.
package func freePort() throws(NoFreePort) -> UInt16 {
    for _ in 0..<500 {
        let port = UInt16.random(in: 10_000..<20_000)
        if chosen.withLock({ $0.insert(port).inserted }), isFree(port) { return port }
    }
    throw NoFreePort()
}

private func isFree(_ port: UInt16) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
}
