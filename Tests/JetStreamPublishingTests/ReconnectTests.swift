import Foundation
import PrivateServers
import Testing

@testable import JetStreamPublishing

@Suite("Reconnecting", .serialized)
struct ReconnectTests {
    @Test(arguments: NatsServer.Version.allCases)
    func aServerKilledInMidStreamLosesNothingThatIsSentAgain(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let client = try TestClient(server)
        try client.publish(1...1_000)
        try eventually("some stored") { !client.stored.isEmpty }
        server.kill()
        try client.awaitEvent("disconnected") { $0.isDisconnected }
        #expect(throws: JetStreamError.notConnected("reconnecting")) { try client.publish(1_001) }
        #expect(!client.connection.isConnected)
        try server.start()
        try client.awaitEvent("reconnected") { $0.isReconnected }
        #expect(client.connection.isConnected)

        let last = try retrying { try client.connection.lastMessage(TestClient.stream) }?.sequence ?? 0
        #expect(client.stored.allSatisfy { $0 <= last })
        client.mailbox.beginEpoch(8)
        for sequence in (last + 1)...1_500 { try client.publish(sequence, epoch: 8) }
        try client.awaitStored((last + 1)...1_500)
        let info = try client.connection.streamInfo(TestClient.stream)
        #expect(info?.state.messages == 1_500)
        #expect(info?.state.lastSequence == 1_500)
    }

    /// Through a reconnect and with acks under way, so that libnats' threads are busy with it when it goes.
    @Test(arguments: NatsServer.Version.allCases)
    func nothingOfAConnectionIsLeftWhenItsOwnerIs(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        weak var mailbox: AckMailbox?
        func live(_ first: UInt64) throws {
            let client = try TestClient(server, stream: first == 1)
            mailbox = client.mailbox
            if first == 1 {
                server.kill()
                try client.awaitEvent("disconnected") { $0.isDisconnected }
                try server.start()
                try client.awaitEvent("reconnected") { $0.isReconnected }
                try eventually("a leader") { (try? client.connection.streamInfo(TestClient.stream)) != nil }
            }
            try client.publish(first...(first + 999))
        }
        for round in UInt64(0)..<5 {
            try live(round * 1_000 + 1)
            try eventually("released") { mailbox == nil }
        }
    }

    @Test func aRequestUnderWayFailsWhenTheLinkBreaks() throws {
        let server = try NatsServer(.oldest)
        let client = try TestClient(server)
        let inbox = try client.connection.openInbox()
        try client.connection.flush(timeout: .patient)
        let other = try TestClient(server, stream: false)
        let killer = Thread { server.kill() }
        let start = ContinuousClock.now
        killer.start()
        #expect(throws: JetStreamError.self) {
            try other.connection.request(inbox.subject, [], timeout: .seconds(60))
        }
        #expect(ContinuousClock.now - start < .seconds(30))
    }

    @Test func aFrozenServerHoldsAPublishNoLongerThanTheWriteDeadline() throws {
        let server = try NatsServer(.newest)
        var options = TestClient.options(server)
        options.writeDeadline = .seconds(1)
        options.pingInterval = .seconds(2)
        let client = try TestClient(options)
        try client.createStream()
        let payload = [UInt8](repeating: 0x61, count: 500_000)
        try client.publish(1, payload: payload)
        try client.awaitStored(1...1)

        server.signal(SIGSTOP)
        var slowest: Duration = .zero
        var failure: JetStreamError?
        for sequence in UInt64(2)...400 {
            let start = ContinuousClock.now
            do throws(JetStreamError) {
                try client.publish(sequence, payload: payload)
            } catch {
                failure = error
            }
            slowest = max(slowest, ContinuousClock.now - start)
            if failure != nil { break }
        }
        guard case .notConnected = failure else { throw TestFailure("not refused: \(String(describing: failure))") }
        #expect(slowest < .seconds(30))
        // From here on nothing waits for libnats.
        let start = ContinuousClock.now
        for _ in 0..<100 { #expect(throws: JetStreamError.self) { try client.publish(2) } }
        #expect(!client.connection.isConnected)
        #expect(ContinuousClock.now - start < .seconds(30))
        try client.awaitEvent("disconnected") { $0.isDisconnected }
        #expect(!client.connection.isWedged)

        server.signal(SIGCONT)
        try client.awaitEvent("reconnected") { $0.isReconnected }
        client.mailbox.beginEpoch(8)
        // What the frozen server still had to read may arrive first: the chain sorts it out.
        try eventually("a message of the new epoch stored") {
            guard let last = try? client.connection.lastMessage(TestClient.stream)?.sequence else { return false }
            try client.publish(last + 1, epoch: 8)
            return client.stored.contains { $0 > 1 }
        }
    }

    @Test func aDeadServerAmongTheURLsIsPassedOver() throws {
        let server = try NatsServer(.oldest)
        let dead = try freePort()
        let client = try TestClient(JetStreamConnectionOptions(urls: ["nats://127.0.0.1:\(dead)", server.url]))
        #expect(client.connection.connectedURL == server.url)
        try client.createStream()
        try client.publish(1)
        try client.awaitStored(1...1)
    }

    @Test func withoutAnyServerConnectingThrows() throws {
        let options = JetStreamConnectionOptions(urls: ["nats://127.0.0.1:\(try freePort())"])
        do {
            _ = try TestClient(options)
            Issue.record("connected")
        } catch let error as JetStreamError {
            guard case .notConnected = error else { throw error }
            #expect(error.isTransient)
        }
    }

    @Test func aServerThatNeverGreetsCostsOneConnectTimeout() throws {
        let port = try freePort()
        let descriptor = try listener(port)
        defer { close(descriptor) }
        var options = JetStreamConnectionOptions(urls: ["nats://127.0.0.1:\(port)"])
        options.connectTimeout = .milliseconds(300)
        let start = ContinuousClock.now
        #expect(throws: JetStreamError.self) { try TestClient(options) }
        #expect(ContinuousClock.now - start < .seconds(30))
    }

    @Test func aServerThatFallsSilentBetweenGreetingAndPongIsReportedAsWedged() throws {
        let server = try SilentServer(answeredConnections: 0)
        var options = JetStreamConnectionOptions(urls: [server.url])
        options.connectTimeout = .seconds(2)
        options.wedgedAfter = .milliseconds(300)
        do {
            _ = try TestClient(options)
            Issue.record("connected")
        } catch let error as JetStreamError {
            guard case .wedged = error else { throw error }
        }
        // Closing the socket is all that ends libnats' loop.
        server.stop()
    }

    /// A client that was connected to `server` and has just lost it.
    private static func clientThatLost(_ server: SilentServer, wedgedAfter: Duration) throws -> TestClient {
        var options = JetStreamConnectionOptions(urls: [server.url])
        options.connectTimeout = .seconds(2)
        options.wedgedAfter = wedgedAfter
        let client = try TestClient(options)
        #expect(client.connection.isConnected)
        server.hangUp()
        try client.awaitEvent("disconnected") { $0.isDisconnected }
        return client
    }

    @Test func aReconnectThatGetsStuckIsReportedAsWedgedAndBlocksNobody() throws {
        let server = try SilentServer(answeredConnections: 1)
        let client = try Self.clientThatLost(server, wedgedAfter: .milliseconds(1_500))
        try eventually("wedged") { client.connection.isWedged }
        let start = ContinuousClock.now
        #expect(throws: JetStreamError.notConnected("reconnecting")) { try client.publish(1) }
        #expect(throws: JetStreamError.notConnected("reconnecting")) {
            try client.connection.request("x", [], timeout: .patient)
        }
        client.connection.close()
        #expect(ContinuousClock.now - start < .seconds(30))
        server.stop()
        try eventually("no longer wedged") { !client.connection.isWedged }
    }

    @Test func closingWhileAReconnectIsStuckComesBackLongBeforeItCountsAsWedged() throws {
        let server = try SilentServer(answeredConnections: 1)
        let client = try Self.clientThatLost(server, wedgedAfter: .seconds(600))
        // With its CONNECT sent libnats waits for the PONG without end.
        try eventually("libnats is stuck") { server.leavesSomebodyWaiting }
        let start = ContinuousClock.now
        client.connection.close()
        #expect(ContinuousClock.now - start < .seconds(30))
        #expect(client.connection.isWedged)
        client.connection.close()
        server.stop()
        try eventually("closed at last") { !client.connection.isWedged }
    }
}
