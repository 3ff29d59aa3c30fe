import Glibc
import Synchronization

/// A NATS server that answers PINGs and reads the rest into nothing: what handing messages to libnats costs without anything behind it.
final class SinkServer: Sendable {
    let url: String
    private let listener: Int32
    private let thread = Mutex<pthread_t?>(nil)

    struct Failure: Error {}

    init() throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 1) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard isBound else { throw Failure() }
        self.listener = listener
        url = "nats://127.0.0.1:\(UInt16(bigEndian: address.sin_port))"
        var thread = pthread_t()
        let server = UInt(bitPattern: Int(listener))
        guard
            pthread_create(
                &thread, nil,
                { argument in
                    SinkServer.serve(Int32(truncatingIfNeeded: Int(bitPattern: argument)))
                    return nil
                }, UnsafeMutableRawPointer(bitPattern: server)) == 0
        else { throw Failure() }
        self.thread.withLock { $0 = thread }
    }

    /// Reads until its one client goes.
    private static func serve(_ listener: Int32) {
        let peer = accept(listener, nil, nil)
        say("INFO {\"server_id\":\"sink\",\"version\":\"2.9.10\",\"max_payload\":1048576,\"headers\":true,\"proto\":1}\r\n", peer)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let count = recv(peer, buffer.baseAddress, buffer.count, 0)
            guard count > 0 else { break }
            // A PING comes alone, or behind everything else.
            if count >= 6, buffer[count - 6..<count].elementsEqual("PING\r\n".utf8) { say("PONG\r\n", peer) }
        }
        close(peer)
        close(listener)
    }

    private static func say(_ text: StaticString, _ peer: Int32) {
        _ = send(peer, text.utf8Start, text.utf8CodeUnitCount, 0)
    }
}
