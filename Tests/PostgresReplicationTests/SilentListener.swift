import Foundation

/// A socket on 127.0.0.1 that is listened on and never accepted from: whoever connects is connected, and hears nothing, as
/// from a frozen server.
final class SilentListener {
    struct Failure: Error {}

    let port: Int
    private let descriptor: Int32

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = withUnsafeMutablePointer(to: &address) { pointer -> Int? in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic -> Int? in
                guard bind(descriptor, generic, size) == 0, listen(descriptor, 8) == 0,
                    getsockname(descriptor, generic, &size) == 0
                else { return nil }
                return pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    Int(UInt16(bigEndian: $0.pointee.sin_port))
                }
            }
        }
        guard let port else {
            Foundation.close(descriptor)
            throw Failure()
        }
        self.descriptor = descriptor
        self.port = port
    }

    deinit {
        Foundation.close(descriptor)
    }
}
