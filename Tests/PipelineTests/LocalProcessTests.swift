import Glibc
import Testing

@testable import Pipeline

@Suite struct LocalProcessTests {
    /// Both ends of a TCP connection of this process, and the port of the one that connected.
    private struct Connection {
        var descriptors: [Int32] = []
        var port: UInt16 = 0

        init() throws {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let listening = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            let connected = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            descriptors = [listening, connected]
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let isOpen = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    bind(listening, address, length) == 0 && listen(listening, 1) == 0 && getsockname(listening, address, &length) == 0
                        && connect(connected, address, length) == 0 && getsockname(connected, address, &length) == 0
                }
            }
            try #require(isOpen)
            port = UInt16(bigEndian: address.sin_port)
        }

        func close() { for descriptor in descriptors { Glibc.close(descriptor) } }
    }

    @Test func theProcessOfAConnectionOfThisMachineIsFound() throws {
        let connection = try Connection()
        defer { connection.close() }
        #expect(LocalProcess.connected(from: "127.0.0.1", port: connection.port) == getpid())
        // The same port of another machine's address is somebody else's.
        #expect(LocalProcess.connected(from: "192.0.2.1", port: connection.port) == nil)
        #expect(LocalProcess.connected(from: "::1", port: connection.port) == nil)
    }

    @Test func aConnectionThatHasGoneIsNobodys() throws {
        let connection = try Connection()
        connection.close()
        #expect(LocalProcess.connected(from: "127.0.0.1", port: connection.port) == nil)
    }
}
