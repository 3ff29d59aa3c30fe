import Foundation
import PrivateServers
import Testing

@testable import JetStreamPublishing

@Suite("URLs, keys and subjects")
struct TextFormsTests {
    @Test func takesURLsApart() throws {
        let plain = try ServerURL(" nats://127.0.0.1 ")
        #expect(plain.text == "nats://127.0.0.1:4222")
        #expect(plain.credentials == nil)
        #expect(try ServerURL("example.org:4333").text == "nats://example.org:4333")
        #expect(try ServerURL("TLS://[::1]:4333/").text == "tls://[::1]:4333")
        let user = try ServerURL("tls://me:p%40ss%3A%22w@host")
        #expect(user.isTLS)
        #expect(user.text == "tls://host:4222")
        #expect(user.credentials == .user("me", password: "p@ss:\"w"))
        #expect(try ServerURL("nats://to:k:en@host").credentials == .user("to", password: "k:en"))
        #expect(try ServerURL("nats://token@host").credentials == .token("token"))
    }

    @Test(arguments: [
        "", "nats://", "http://host", "ws://host", "nats://host:", "nats://host:0", "nats://host:70000",
        "nats://host:x",
        "nats://::1", "nats://us%4:er@host", "nats://:@host", "nats://u%00:p@host", "nats://ho st:1", "nats://[::1]x:1",
    ])
    func refusesBadURLs(_ text: String) {
        #expect(throws: JetStreamError.self) { try ServerURL(text) }
    }

    @Test func errorsAndShownURLsHoldNoCredentials() {
        #expect(ServerURL.withoutCredentials("nats://me:secret@host:1") == "nats://host:1")
        #expect(ServerURL.withoutCredentials("me:secret@host:1") == "host:1")
        #expect(ServerURL.withoutCredentials("nats://host:1?token=secret") == "nats://host:1")
        #expect(ServerURL.withoutCredentials("nats://me:secret@host/?secret#secret") == "nats://host/")
        #expect(ServerURL.withoutCredentials("nats://host?token=x@secret") == "nats://***")
        do {
            _ = try ServerURL("nats://me:secret@host:notaport")
            Issue.record("accepted")
        } catch {
            #expect(!error.description.contains("secret"))
        }
    }

    @Test func derivesThePublicKeyOfASeed() throws {
        let folder = try temporaryFolder("nkey")
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("seed").path
        // The pair of the NATS documentation.
        let seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
        try "\(seed)\n".write(toFile: path, atomically: true, encoding: .utf8)
        #expect(
            try NKey.publicKey(seedFile: path) == "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4")
        for bad in ["", "SU", seed.dropLast() + "A", "SUACSSL3", seed.lowercased(), "UDXU4RCSJNZOIQHZNWXHXORDPRTG"] {
            try bad.write(toFile: path, atomically: true, encoding: .utf8)
            #expect(throws: JetStreamError.self) { try NKey.publicKey(seedFile: path) }
        }
        #expect(throws: JetStreamError.self) { try NKey.publicKey(seedFile: path + ".absent") }
    }

    @Test func readsSecretFilesLessOneNewline() throws {
        let folder = try temporaryFolder("secret")
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("secret")
        for (text, secret) in [("a b\n", "a b"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a"), ("", "")] {
            try Data(text.utf8).write(to: file)
            #expect(try SecretFile.read(file.path) == secret)
        }
        try Data([0xFF, 0xFE]).write(to: file)
        #expect(throws: JetStreamError.self) { try SecretFile.read(file.path) }
        try Data([0x41, 0]).write(to: file)
        #expect(throws: JetStreamError.self) { try SecretFile.read(file.path) }
        try Data(repeating: 0x41, count: 65_537).write(to: file)
        #expect(throws: JetStreamError.self) { try SecretFile.read(file.path) }
    }

    @Test func escapesWhatLibnatsPastesIntoJSON() {
        #expect(ConnectProtocol.escaped("a\"b\\c\n\u{1}é") == #"a\"b\\c\u000a\u0001é"#)
    }

    @Test func readsDeliverySubjects() {
        func delivery(_ text: String) -> Delivery? {
            Array(text.utf8).withUnsafeBufferPointer { Delivery(reply: $0) }
        }
        let short = delivery("$JS.ACK.events.c.1.12.3.1795417752123456789.0")
        #expect(short?.streamSequence == 12)
        #expect(short?.consumerSequence == 3)
        #expect(delivery("$JS.ACK.hub.hash.events.c.1.12.3.1795417752123456789.0.x") == short)
        #expect(delivery("$JS.ACK._.hash.events.c.1.12.3.1795417752123456789.0") == short)
        for bad in [
            "", "$JS.ACK", "$JS.ACK.e.c.1.12.3.4", "$JS.ACK.e.c.1.x.3.4.5", "$JS.NAK.e.c.1.2.3.4.5",
            "$JS.ACK.e.c.1.99999999999999999999.3.4.5", "$JS.ACK.e.c.1.+2.3.4.5", "$JS.ACK.a.b.c.d.e.f.g.h",
        ] {
            #expect(delivery(bad) == nil)
        }
    }

    @Test func readsStoredHeaders() {
        let block = Array("NATS/1.0\r\nNats-Msg-Id: a:b \r\nX:\r\nno colon\r\n\r\n".utf8)
        #expect(
            StoredMessage.headers(block: block) == [
                StoredMessage.Header(name: "Nats-Msg-Id", value: "a:b"), StoredMessage.Header(name: "X", value: ""),
            ])
        #expect(StoredMessage.headers(block: []).isEmpty)
    }
}
