import Foundation
import PrivateServers
import Testing

@testable import JetStreamPublishing

/// A TCP socket on the loopback; -1 where the call failed.
private func loopback(_ port: UInt16, _ call: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let status = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            call(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard status == 0 else {
        close(descriptor)
        return -1
    }
    return descriptor
}

/// Whether somebody listens on `port`.
func canConnect(_ port: UInt16) -> Bool {
    let descriptor = loopback(port, connect)
    guard descriptor >= 0 else { return false }
    close(descriptor)
    return true
}

/// A socket that listens on `port` and never answers; the caller closes it.
func listener(_ port: UInt16) throws -> Int32 {
    let descriptor = loopback(port, bind)
    guard descriptor >= 0, listen(descriptor, 8) == 0 else { throw TestFailure("cannot listen on \(port)") }
    return descriptor
}
