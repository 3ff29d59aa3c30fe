import Foundation
import PrivateServers
import Testing

@testable import JetStreamPublishing

@Suite("Reading", .serialized)
struct MessageReaderTests {
    @Test(arguments: NatsServer.Version.allCases)
    func beginsWhereItIsTold(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let client = try TestClient(server)
        try client.publish(1...200)
        try client.awaitStored(1...200)
        let connection = client.connection
        func next(
            _ start: MessageReader.Start, filter: String? = nil, timeout: Duration = .seconds(20)
        ) throws -> UInt64? {
            let reader = try connection.openReader(TestClient.stream, from: start, filter: filter)
            defer { reader.close() }
            return try reader.next(timeout: timeout)?.sequence
        }
        #expect(try next(.first) == 1)
        #expect(try next(.sequence(0)) == 1)
        #expect(try next(.sequence(137)) == 137)
        #expect(try next(.time("2001-01-01T00:00:00Z")) == 1)
        #expect(try next(.time("2190-01-01T00:00:00Z"), timeout: .seconds(1)) == nil)
        #expect(try next(.new, timeout: .seconds(1)) == nil)
        try client.publish(201, subject: "shop.User.INSERT")
        try client.awaitStored(201...201)
        #expect(try next(.first, filter: "shop.User.*") == 201)
        #expect(try next(.first, filter: "shop.Nobody.>", timeout: .seconds(1)) == nil)
    }

    @Test(arguments: NatsServer.Version.allCases)
    func followsWhatIsStoredLater(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let client = try TestClient(server)
        try client.publish(1...3)
        try client.awaitStored(1...3)
        let reader = try client.connection.openReader(TestClient.stream, from: .new)
        #expect(try reader.next(timeout: .milliseconds(100)) == nil)
        try client.publish(4...300)
        for sequence in UInt64(4)...300 { #expect(try reader.next(timeout: .seconds(10))?.sequence == sequence) }
        #expect(try reader.next(timeout: .milliseconds(100)) == nil)
    }

    @Test func goesOnAfterTheServerWasKilled() throws {
        let server = try NatsServer(.newest)
        let client = try TestClient(server)
        try client.publish(1...500)
        try client.awaitStored(1...500)
        let reader = try client.connection.openReader(TestClient.stream, from: .first)
        for sequence in UInt64(1)...100 { #expect(try reader.next(timeout: .seconds(10))?.sequence == sequence) }
        server.kill()
        try client.awaitEvent("disconnected") { $0.isDisconnected }
        // What was pulled already may still be given out.
        var last: UInt64 = 100
        while let message = try reader.next(timeout: .milliseconds(100)) {
            #expect(message.sequence == last + 1)
            last = message.sequence
        }
        try server.start()
        while last < 500 {
            let sequence = try #require(try reader.next(timeout: .seconds(30))).sequence
            try #require(sequence == last + 1)
            last = sequence
        }
    }

    @Test func aConsumerThatVanishedIsMadeAgain() throws {
        let server = try NatsServer(.newest)
        let client = try TestClient(server)
        try client.publish(1...200)
        try client.awaitStored(1...200)
        let reader = try client.connection.openReader(TestClient.stream, from: .first)
        for sequence in UInt64(1)...64 { #expect(try reader.next(timeout: .seconds(10))?.sequence == sequence) }
        let names = try client.connection.request(
            "$JS.API.CONSUMER.NAMES.\(TestClient.stream)", [], timeout: .patient)
        let list = try #require(try JSONSerialization.jsonObject(with: Data(names)) as? [String: Any])
        for name in try #require(list["consumers"] as? [String]) {
            try client.connection.deleteConsumer(TestClient.stream, name, timeout: .patient)
        }
        for sequence in UInt64(65)...200 { #expect(try reader.next(timeout: .seconds(20))?.sequence == sequence) }
    }

    @Test func leavesNoConsumerBehind() throws {
        let server = try NatsServer(.oldest)
        let client = try TestClient(server)
        try client.publish(1)
        try client.awaitStored(1...1)
        do {
            let reader = try client.connection.openReader(TestClient.stream, from: .first)
            #expect(try reader.next(timeout: .seconds(10))?.sequence == 1)
        }
        let names = try client.connection.request(
            "$JS.API.CONSUMER.NAMES.\(TestClient.stream)", [], timeout: .patient)
        let list = try #require(try JSONSerialization.jsonObject(with: Data(names)) as? [String: Any])
        #expect((list["consumers"] as? [String] ?? []).isEmpty)
    }

    @Test func aStreamThatIsNotThereThrows() throws {
        let server = try NatsServer(.oldest)
        let client = try TestClient(server)
        let reader = try client.connection.openReader("absent", from: .first)
        #expect(throws: JetStreamError.self) { try reader.next(timeout: .patient) }
        #expect(throws: JetStreamError.self) { try client.connection.openReader("absent", from: .new) }
    }

    /// libnats' read loop must not meet a subscription that has been freed: it would crash, or wait for ever and hold up whoever closes the connection.
    @Test func anInboxMayGoWhileMessagesComeToIt() throws {
        let server = try NatsServer(.newest)
        let client = try TestClient(server, stream: false)
        let sender = try TestClient(server, stream: false)
        // Copying a large one is most of the time between looking a subscription up and locking it.
        let body = [UInt8](repeating: 0x61, count: 500_000)
        for _ in 0..<300 {
            let inbox = try client.connection.openInbox()
            try client.connection.flush(timeout: .patient)
            for _ in 0..<4 { try sender.connection.publish(inbox.subject, body, reply: inbox.subject) }
            sender.connection.sendBuffered()
            #expect(try inbox.next(timeout: .patient) != nil)
        }
        try client.connection.flush(timeout: .patient)
    }
}
