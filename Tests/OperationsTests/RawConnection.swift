#if canImport(Glibc)
    import Glibc
#endif

/// One TCP connection to this machine that says exactly what a test wants it to say, right or wrong.
///
/// It never blocks a thread of the pool, which the server under test needs.
final class RawConnection: Sendable {
    struct Failure: Error {
        let call: String
        let code: Int32
    }

    private let descriptor: Int32

    init(port: Int) throws {
        descriptor = try Self.loopbackSocket(port) { connect($0, $1, $2) }
    }

    deinit { close(descriptor) }

    /// - Returns: False when the other side has closed.
    @discardableResult func send(_ text: String) -> Bool {
        send(Array(text.utf8))
    }

    /// - Returns: False when the other side has closed.
    @discardableResult func send(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// Says that nothing more will come.
    func endSending() {
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Everything until the other side closes, or until `isWhole` says yes.
    /// - Returns: Nil when neither happened within the deadline.
    func receive(
        within timeout: Duration = .seconds(10), until isWhole: (String) -> Bool = { _ in false }
    ) async throws -> String? {
        let deadline = ContinuousClock.now + timeout
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while ContinuousClock.now < deadline {
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count > 0 {
                bytes += buffer.prefix(count)
                if isWhole(String(decoding: bytes, as: UTF8.self)) { return String(decoding: bytes, as: UTF8.self) }
            } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
                return String(decoding: bytes, as: UTF8.self)
            } else {
                try await Task.sleep(for: .milliseconds(2))
            }
        }
        return nil
    }

    private init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// The next connection that the other side made to this listener.
    func accepted() async throws -> RawConnection {
        let deadline = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < deadline {
            let next = accept(descriptor, nil, nil)
            if next >= 0 { return RawConnection(descriptor: next) }
            try await Task.sleep(for: .milliseconds(2))
        }
        throw Failure(call: "accept", code: errno)
    }

    /// A listener on a free port of this machine, which answers nothing by itself.
    static func listener() throws -> (listener: RawConnection, port: Int) {
        let descriptor = try loopbackSocket(0) { bind($0, $1, $2) }
        guard listen(descriptor, 8) == 0, fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0 else {
            throw Failure(call: "listen", code: errno)
        }
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard result == 0 else { throw Failure(call: "getsockname", code: errno) }
        return (RawConnection(descriptor: descriptor), Int(UInt16(bigEndian: address.sin_port)))
    }

    private static func loopbackSocket(
        _ port: Int, _ call: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Failure(call: "socket", code: errno) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                call(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else {
            let code = errno
            close(descriptor)
            throw Failure(call: "connect or bind", code: code)
        }
        return descriptor
    }
}
