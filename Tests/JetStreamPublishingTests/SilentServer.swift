import Foundation
import PrivateServers
import Synchronization

/// Greets like a NATS server, answers the PINGs of the first connections, and says nothing more on later ones.
final class SilentServer: Sendable {
    private let port: UInt16
    private let answeredConnections: Int
    private let isStopped = Atomic<Bool>(false)
    private let hangUps = Atomic<Int>(0)
    private let unansweredCount = Atomic<Int>(0)

    init(answeredConnections: Int) throws {
        self.answeredConnections = answeredConnections
        port = try freePort()
        let descriptor = try listener(port)
        Thread { self.serve(descriptor) }.start()
    }

    var url: String { "nats://127.0.0.1:\(port)" }

    /// A client was greeted, has sent its CONNECT and PING, and waits.
    var leavesSomebodyWaiting: Bool { unansweredCount.load(ordering: .relaxed) > 0 }

    /// Closes the connection that is open.
    func hangUp() { hangUps.add(1, ordering: .relaxed) }

    /// Closes everything.
    func stop() { isStopped.store(true, ordering: .relaxed) }

    private func serve(_ descriptor: Int32) {
        var count = 0
        while !isStopped.load(ordering: .relaxed) {
            guard isReadable(descriptor) else { continue }
            let peer = accept(descriptor, nil, nil)
            count += 1
            converse(peer, answers: count <= answeredConnections)
            close(peer)
        }
        close(descriptor)
    }

    private func converse(_ peer: Int32, answers: Bool) {
        let hangUps = hangUps.load(ordering: .relaxed)
        say(
            "INFO {\"server_id\":\"x\",\"version\":\"2.9.10\",\"max_payload\":1048576,\"headers\":true,\"proto\":1}",
            peer)
        var bytes = [UInt8](repeating: 0, count: 4_096)
        while !isStopped.load(ordering: .relaxed), self.hangUps.load(ordering: .relaxed) == hangUps {
            guard isReadable(peer) else { continue }
            let count = recv(peer, &bytes, bytes.count, 0)
            guard count > 0 else { return }
            guard answers else {
                unansweredCount.add(1, ordering: .relaxed)
                continue
            }
            let text = String(decoding: bytes[..<count], as: UTF8.self)
            for line in text.split(separator: "\r\n") where line == "PING" { say("PONG", peer) }
        }
    }

    private func isReadable(_ descriptor: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 20) == 1
    }

    private func say(_ line: String, _ peer: Int32) {
        let bytes = Array((line + "\r\n").utf8)
        _ = send(peer, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }
}
