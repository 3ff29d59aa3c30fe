import PrivateServers
import Testing

@testable import JetStreamPublishing

@Suite("What is asked before anything is made", .serialized)
struct AskingTests {
    @Test(arguments: NatsServer.Version.allCases)
    func aRightIsAskedForWithoutAnythingBeingStoredOrMade(_ version: NatsServer.Version) throws {
        let server = try NatsServer(
            version,
            configuration: """
                authorization {
                  users: [
                    { user: all, password: all }
                    { user: some, password: some, permissions: { publish: {
                        deny: [ "shop.secret.>", "$JS.API.STREAM.CREATE.forbidden" ] } } }
                  ]
                }
                """)
        let url = "127.0.0.1:\(server.port)"
        let all = try TestClient(JetStreamConnectionOptions(urls: ["all:all@\(url)"]))
        try all.createStream()
        let some = try TestClient(JetStreamConnectionOptions(urls: ["some:some@\(url)"])).connection
        let expectingNone = [("Nats-Expected-Stream", "none")]
        #expect(try some.mayPublish(to: "shop.Order.INSERT", [], headers: expectingNone))
        #expect(try !some.mayPublish(to: "shop.secret.INSERT", [], headers: expectingNone))
        #expect(try some.mayPublish(to: "nobody.listens", []))
        #expect(try some.mayPublish(to: "$JS.API.STREAM.CREATE.made", Array("?".utf8)))
        #expect(try !some.mayPublish(to: "$JS.API.STREAM.CREATE.forbidden", Array("?".utf8)))
        #expect(try all.connection.streamInfo("made") == nil)
        #expect(try all.connection.streamInfo(TestClient.stream)?.state.lastSequence == 0)
    }

    @Test(arguments: NatsServer.Version.allCases)
    func theStreamsThatCaptureASubjectAreNamed(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let connection = try TestClient(server).connection
        #expect(try connection.streamNames(capturing: "shop.>") == [TestClient.stream])
        #expect(try connection.streamNames(capturing: "shop.Order.*") == [TestClient.stream])
        #expect(try connection.streamNames(capturing: "elsewhere.>") == [])
    }

    @Test(arguments: NatsServer.Version.allCases)
    func aStreamIsDeletedAndOneThatIsNotThereIsNoError(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let connection = try TestClient(server).connection
        try connection.deleteStream(TestClient.stream)
        #expect(try connection.streamInfo(TestClient.stream) == nil)
        try connection.deleteStream(TestClient.stream)
    }

    @Test(arguments: NatsServer.Version.allCases)
    func aKeyIsDeletedAtItsRevisionOnly(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let connection = try TestClient(server, stream: false).connection
        try retrying { try connection.createBucket("state", replicas: 1) }
        let first = try connection.bucketPut("state", key: "events", value: [1], expectedRevision: 0)
        let second = try connection.bucketPut("state", key: "events", value: [2], expectedRevision: first)
        do throws(JetStreamError) {
            try connection.bucketDelete("state", key: "events", expectedRevision: first)
            Issue.record("deleted")
        } catch {
            #expect(error.isWrongLastSequence)
        }
        #expect(try connection.bucketGet("state", key: "events") == .value([2], revision: second))
        try connection.bucketDelete("state", key: "events", expectedRevision: second)
        #expect(try connection.bucketGet("state", key: "events") == .deleted(revision: second + 1))
    }
}
