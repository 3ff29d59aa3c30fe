import CSlowNames
import Glibc
import PrivateServers
import SeededRandom
import Testing

@testable import Outbound

/// What a request's time is where its being over is tried; and what it is where something else has to end it.
private let short = Duration.milliseconds(300)

@Suite("Servers that hang, cut, or never end", .serialized)
struct HostileServerTests {
    private let servers = ScriptedServers()
    private let sender = HTTPSender(allowsPrivateHosts: true, caFile: nil)

    private func server(_ converse: @escaping @Sendable (Peer) -> Void) throws -> ScriptedServer {
        try servers.start { peer, _ in
            guard peer.readRequest() != nil else { return }
            converse(peer)
        }
    }

    @Test(arguments: [
        "", "H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123456789", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ])
    func whoHangsIsLeftInTime(_ beginning: String) throws {
        let hanging = try server { peer in
            peer.send(beginning)
            peer.waitForEnd()
        }
        #expect(try error(of: request(hanging.url, timeout: short)) == .timedOut)
    }

    @Test(arguments: [
        "", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123456789", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
    ])
    func aConnectionThatEndsBeforeTheAnswerIsCut(_ beginning: String) throws {
        let cutting = try server { $0.send(beginning) }
        let error = try error(of: request(cutting.url))
        guard case .cut = error else { throw TestFailure("\(error)") }
        #expect(!error.isPermanent)
    }

    @Test func aServerThatSaysAByteNowAndThenIsLeftInTime() throws {
        for beginning in ["HTTP/1.1 200 ", "HTTP/1.1 200 OK\r\nX: ", "HTTP/1.1 200 OK\r\n\r\n"] {
            let slow = try server { peer in
                peer.send(beginning)
                while peer.send("x") { usleep(20_000) }
            }
            #expect(try error(of: request(slow.url, timeout: short)) == .timedOut)
        }
    }

    @Test func aServerThatReadsNothingIsLeftInTime() throws {
        let deaf = try servers.start { peer, _ in peer.waitUntil { false } }
        #expect(try error(of: request(deaf.url, body: String(repeating: "x", count: 8_000_000), timeout: short)) == .timedOut)
    }

    @Test func aServerThatNeverAcceptsIsLeftInTime() throws {
        // Its queue is full, so that further connections get no answer.
        let full = try FullQueue()
        let error = try error(of: request("http://127.0.0.1:\(full.port)/", timeout: short))
        guard case .notConnected(let text) = error else { throw TestFailure("\(error)") }
        #expect(text.contains("timed out"))
    }

    @Test func aNameServerThatHangsIsLeftInTime() throws {
        for count in 1...3 {
            // The sender goes, too.
            let error = try error(of: request("http://n\(count).slow.test/", timeout: short))
            guard case .notConnected(let text) = error else { throw TestFailure("\(error)") }
            #expect(text.hasPrefix("Resolving timed out"))
            #expect(slow_names_waiting() == count, "the resolver's threads have not ended, and nobody waits for them")
        }
        let server = try server { $0.answer("200 OK") }
        _ = try error(of: request("http://n4.slow.test/", timeout: short), sender: sender)
        #expect(try sender.send(request(server.url)).status == 200)
        slow_names_release()
        try eventually("the resolver's threads end") { slow_names_waiting() == 0 }
    }

    @Test func aKeptConnectionThatFallsSilentIsLeftInTime() throws {
        let server = try servers.start { peer, number in
            guard peer.readRequest() != nil else { return }
            peer.answer("200 OK")
            if number == 1 { peer.waitForEnd() }
        }
        #expect(try sender.send(request(server.url)).status == 200)
        #expect(try error(of: request(server.url, timeout: short), sender: sender) == .timedOut)
        // And not taken again.
        #expect(try sender.send(request(server.url)).status == 200)
        #expect(server.connectionCount == 2)
    }

    @Test(arguments: ["Content-Length: 1000000000\r\n", "Transfer-Encoding: chunked\r\n", "", "Content-Encoding: gzip\r\n"])
    func anEndlessBodyIsLeftAndTheStatusCounts(_ headers: String) throws {
        let endless = try server { peer in
            peer.send("HTTP/1.1 200 OK\r\n\(headers)\r\n")
            let part = String(repeating: "x", count: 4_096)
            while peer.send(headers.hasPrefix("Transfer") ? "1000\r\n\(part)\r\n" : part) {}
        }
        let answer = try sender.send(request(endless.url))
        #expect(answer == HTTPAnswer(status: 200, retryAfter: nil, excerpt: String(repeating: "x", count: 500)))
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\n", "X-Y: z\r\n"), ("HTTP/1.1 200 OK\r\nX-Y:", "z"), ("", "HTTP/1.1 100 Continue\r\n\r\n"), ("HTTP/1.1 200 ", "x"),
    ])
    func anEndlessHeadIsRefused(_ beginning: String, _ part: String) throws {
        let endless = try server { peer in
            peer.send(beginning)
            while peer.send(String(repeating: part, count: 100)) {}
        }
        let error = try error(of: request(endless.url))
        #expect(error == .answerTooLarge(limit: 65_536))
    }

    @Test(arguments: [
        "hello\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 20\r\n\r\n", "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "\u{0}\u{0}\u{0}\u{0}\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    ])
    func whatIsNoAnswerIsAnError(_ bytes: String) throws {
        let strange = try server { $0.send(bytes) }
        let error = try error(of: request(strange.url, timeout: .seconds(5)))
        #expect(!error.isPermanent)
    }

    @Test(arguments: [UInt64.random(in: 0...UInt64.max)])
    func bytesAtRandomTrapNothing(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let answers = (0..<300).map { _ in randomAnswer(&random) }
        let wild = try servers.start { peer, number in
            guard peer.readRequest() != nil else { return }
            peer.send(answers[(number - 1) % answers.count])
        }
        for _ in answers {
            do {
                let answer = try sender.send(request(wild.url, timeout: .seconds(5)))
                #expect(answer.status >= 200 && answer.excerpt.utf8.count <= 1_500, "seed \(seed)")
            } catch { #expect(!error.description.isEmpty) }
        }
    }

    /// An answer with some bytes changed, cut, doubled; or nothing but bytes.
    private func randomAnswer(_ random: inout SplitMix64) -> [UInt8] {
        let good = [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nRetry-After: 10\r\nLocation: http://a.example/\r\n\r\nhello",
            "HTTP/1.1 302 Found\r\nLocation: http://a.example/x\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
            "HTTP/1.0 429 Wait\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Encoding: br\r\n\r\nhello",
        ]
        guard Int.random(in: 0..<4, using: &random) > 0, let chosen = good.randomElement(using: &random) else {
            return (0..<Int.random(in: 0..<600, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        }
        var bytes = Array(chosen.utf8)
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            let index = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.insert(contentsOf: bytes[index...].prefix(40), at: index)
            case 2 where bytes.count > 40: bytes.removeSubrange(index..<min(bytes.count, index + 10))
            default: bytes.insert(UInt8(ascii: "9"), at: index)
            }
        }
        return bytes
    }

    @Test func nobodyThereIsNoConnection() throws {
        let error = try error(of: request("http://127.0.0.1:\(try freePort())/"))
        guard case .notConnected = error else { throw TestFailure("\(error)") }
        #expect(!error.isPermanent)
    }

    @Test func aNameOfNobodyIsNotFound() throws {
        #expect(try error(of: request("http://nobody.invalid/")) == .nameNotFound(host: "nobody.invalid"))
    }
}
