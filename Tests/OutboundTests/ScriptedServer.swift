import Foundation
import Glibc
import PrivateServers
import Synchronization

/// A server on a port of its own that says to each connection what a test wants to be said.
final class ScriptedServer: Sendable {
    let port: UInt16
    private let state: State

    /// - Parameter converse: what is done with a connection, in a thread of its own; the number counts from 1. The connection is closed
    ///   after it.
    init(address: String = "127.0.0.1", port: UInt16 = 0, _ converse: @escaping @Sendable (Peer, Int) -> Void) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        inet_pton(AF_INET, address, &name.sin_addr)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutableBytes(of: &name) { bytes in
            let name = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self)
            return bind(descriptor, name, size) == 0 && listen(descriptor, 128) == 0 && getsockname(descriptor, name, &size) == 0
        }
        guard isListening else { throw TestFailure("cannot listen: \(String(cString: strerror(errno)))") }
        self.port = UInt16(bigEndian: name.sin_port)
        state = State(descriptor)
        let state = state
        Thread { state.serve(converse) }.start()
    }

    deinit { state.stop() }

    var url: String { "http://127.0.0.1:\(port)/" }

    /// How many connections there were.
    var connectionCount: Int { state.connectionCount.load(ordering: .acquiring) }

    /// The requests that came, heads and bodies.
    var requests: [Peer.Request] { state.requests.withLock { $0 } }
}

/// The servers of one test, which stay until it ends.
final class ScriptedServers {
    private var servers: [ScriptedServer] = []

    /// As ``ScriptedServer/init(address:port:_:)``.
    func start(
        address: String = "127.0.0.1", port: UInt16 = 0, _ converse: @escaping @Sendable (Peer, Int) -> Void
    ) throws -> ScriptedServer {
        let server = try ScriptedServer(address: address, port: port, converse)
        servers.append(server)
        return server
    }
}

/// A connection, on the server's side.
struct Peer: Sendable {
    /// A request, as far as the tests look at it.
    struct Request: Sendable {
        let line: String
        let headers: [(name: String, value: String)]
        let body: [UInt8]

        subscript(_ name: String) -> String? { headers.first { $0.name.lowercased() == name.lowercased() }?.value }
    }

    let descriptor: Int32
    fileprivate let state: State

    /// - Returns: nil at the end.
    func readLine() -> String? {
        var line: [UInt8] = []
        while let byte = readByte() {
            if byte == UInt8(ascii: "\n") { return String(decoding: line.last == UInt8(ascii: "\r") ? line.dropLast() : line[...], as: UTF8.self) }
            line.append(byte)
        }
        return nil
    }

    /// - Returns: nil at the end.
    func readRequest() -> Request? {
        guard let line = readLine() else { return nil }
        var headers: [(name: String, value: String)] = []
        while let header = readLine(), !header.isEmpty {
            let name = header.prefix { $0 != ":" }
            headers.append((String(name), header.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces)))
        }
        let count = headers.first { $0.name.lowercased() == "content-length" }.flatMap { Int($0.value) } ?? 0
        var body: [UInt8] = []
        while body.count < count, let byte = readByte() { body.append(byte) }
        let request = Request(line: line, headers: headers, body: body)
        state.requests.withLock { $0.append(request) }
        return request
    }

    /// - Returns: Whether anybody takes it.
    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// - Returns: Whether anybody takes it.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    /// An answer with a length.
    @discardableResult
    func answer(_ status: String, headers: [String] = [], body: String = "") -> Bool {
        send((["HTTP/1.1 \(status)", "Content-Length: \(body.utf8.count)"] + headers + ["", body]).joined(separator: "\r\n"))
    }

    /// Says nothing more until the other side goes.
    func waitForEnd() { while readByte() != nil {} }

    /// Reads nothing, until `condition` holds or the server is stopped.
    func waitUntil(_ condition: () -> Bool) { while !condition(), !state.isStopped { usleep(2_000) } }

    private func readByte() -> UInt8? {
        var byte: UInt8 = 0
        return recv(descriptor, &byte, 1, 0) == 1 ? byte : nil
    }
}

/// What a server's threads share.
private final class State: Sendable {
    let connectionCount = Atomic<Int>(0)
    let requests = Mutex<[Peer.Request]>([])
    private let descriptor: Int32
    private let open = Mutex<Set<Int32>>([])
    private let stopping = Atomic<Bool>(false)

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    func serve(_ converse: @escaping @Sendable (Peer, Int) -> Void) {
        while true {
            let connection = accept(descriptor, nil, nil)
            guard connection >= 0 else { return }
            // Not for the processes that tests start meanwhile: it would stay open with them.
            _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
            let number = connectionCount.add(1, ordering: .acquiringAndReleasing).newValue
            open.withLock { _ = $0.insert(connection) }
            Thread {
                converse(Peer(descriptor: connection, state: self), number)
                self.open.withLock {
                    $0.remove(connection)
                    close(connection)
                }
            }.start()
        }
    }

    var isStopped: Bool { stopping.load(ordering: .acquiring) }

    /// Ends every wait: of the thread that accepts, and of those that converse.
    func stop() {
        stopping.store(true, ordering: .releasing)
        shutdown(descriptor, Int32(SHUT_RDWR))
        open.withLock { for connection in $0 { shutdown(connection, Int32(SHUT_RDWR)) } }
    }
}
