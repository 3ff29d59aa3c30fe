import Foundation
import PrivateServers
import Testing

@testable import JetStreamPublishing

@Suite("Fast batches", .serialized)
struct FastBatchTests {
    private static func client(_ server: NatsServer) throws -> TestClient {
        let client = try TestClient(server, stream: false)
        try client.createStream(batched: true)
        return client
    }

    private static let wantedOfThree = StreamConfiguration(
        name: TestClient.stream, subjectPrefix: "shop", duplicateWindow: .seconds(120), replicas: 3, allowBatched: true)

    /// Publishes the `ordinal`-th message behind `base`.
    private static func publish(
        _ client: TestClient, _ base: UInt64, _ ordinal: UInt64, _ step: FastBatchMember.Step, id: String? = nil,
        byteCount: Int = 100
    ) throws {
        let (subject, payload) = (Array("shop.Order.INSERT".utf8), [UInt8](repeating: 0x61, count: byteCount))
        let messageID = Array((id ?? "id-\(base + ordinal)").utf8)
        try client.connection.publish(
            subject: subject.span, messageID: messageID.span, payload: payload.span,
            expectedLastSequence: base + ordinal - 1, epoch: TestClient.epoch,
            fastBatch: FastBatchMember(base: base, ordinal: ordinal, step: step))
    }

    private static func end(_ client: TestClient, _ base: UInt64, after ordinal: UInt64) throws {
        let subject = Array("shop.Order.INSERT".utf8)
        try client.connection.endFastBatch(
            base: base, ordinal: ordinal, subject: subject.span, epoch: TestClient.epoch)
    }

    private static func start(_ client: TestClient, _ base: UInt64) throws {
        try publish(client, base, 1, .start)
        try eventually("the batch has begun: \(client.outcomes)") { isStarted(client, base) }
    }

    private static func isStarted(_ client: TestClient, _ base: UInt64) -> Bool {
        client.outcomes.contains { if case .fastBatchStarted(base, _) = $0 { true } else { false } }
    }

    private static func isEnded(_ client: TestClient, _ token: UInt64) -> Bool {
        client.outcomes.contains(.fastBatchEnded(token: token))
    }

    private static func refusals(_ client: TestClient) -> [(token: UInt64, errCode: Int)] {
        client.outcomes.compactMap { if case .refused(let token, let errCode, _, _) = $0 { (token, errCode) } else { nil } }
    }

    private static func ids(_ client: TestClient) throws -> [String?] {
        let last = try #require(try retrying { try client.connection.streamInfo(TestClient.stream) }).state.lastSequence
        guard last > 0 else { return [] }
        var ids: [String?] = []
        try client.connection.readHeaders(TestClient.stream, 1...last, consumer: "reading", isWanted: { true }) {
            (_: UInt64, messageID: Span<UInt8>?, _: Span<UInt8>) in
            if let messageID {
                ids.append(messageID.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) })
            } else {
                ids.append(nil)
            }
            return true
        }
        return ids
    }

    /// Nothing is told as stored that is not, and nothing of ours is stored behind a hole.
    private static func checksOut(_ client: TestClient) throws {
        let ids = try ids(client)
        for token in client.stored { #expect(token <= UInt64(ids.count) && ids[Int(token) - 1] == "id-\(token)") }
        #expect(ids.indices.allSatisfy { ids[$0] == nil || ids[$0] == "id-\($0 + 1)" })
    }

    private static func stray(_ client: TestClient) throws {
        try client.connection.publish(
            subject: "shop.Stray", payload: [1], headers: [], token: AckMailbox.controlBit | 1, epoch: TestClient.epoch)
    }

    // MARK: - What it is for

    @Test func aBatchIsStoredInOrderAndItsEndProvesIt() throws {
        let server = try NatsServer(.newest)
        let client = try Self.client(server)
        try client.publish(1)
        try client.awaitStored(1...1)
        try Self.start(client, 1)
        for ordinal in UInt64(2)...5_000 { try Self.publish(client, 1, ordinal, ordinal == 5_000 ? .commit : .append) }
        try client.awaitStored(1...5_001)
        #expect(Self.isEnded(client, 5_001))
        // The next, ended without a message.
        try Self.start(client, 5_001)
        try Self.publish(client, 5_001, 2, .append)
        try Self.end(client, 5_001, after: 2)
        try client.awaitStored(1...5_003)
        #expect(Self.isEnded(client, 5_003) && client.outcomes.count == 4)
        // A batch of one.
        try Self.publish(client, 5_003, 1, .commit)
        try client.awaitStored(1...5_004)
        try client.publish(5_005)
        try client.awaitStored(1...5_005)
        #expect(try Self.ids(client) == (1...5_005).map { "id-\($0)" })
    }

    @Test func acksComeOnceInAnIntervalAndProveWhatIsBeforeThem() throws {
        let server = try NatsServer(.newest)
        let client = try Self.client(server)
        try Self.start(client, 0)
        let interval = UInt64(FastBatchMember.ackInterval)
        for ordinal in 2...interval { try Self.publish(client, 0, ordinal, .append) }
        try eventually("the first window") { client.stored.count == interval - 1 }
        for ordinal in interval + 1...3 * interval + 5 { try Self.publish(client, 0, ordinal, .append) }
        try eventually("three windows") { client.stored == Set(1...3 * interval - 1) }
        try Self.end(client, 0, after: 3 * interval + 5)
        try client.awaitStored(1...3 * interval + 5)
        #expect(Self.isEnded(client, 3 * interval + 5))
    }

    // MARK: - What breaks it

    @Test(arguments: [2, 150, 399]) func aStrayEndsTheBatchAndNothingIsStoredBehindIt(_ place: UInt64) throws {
        let server = try NatsServer(.newest)
        let client = try Self.client(server)
        try Self.start(client, 0)
        for ordinal in UInt64(2)...1_000 {
            if ordinal == place { try Self.stray(client) }
            try Self.publish(client, 0, ordinal, ordinal == 1_000 ? .commit : .append)
        }
        try eventually("its end: \(client.outcomes.prefix(3))") { Self.isEnded(client, place - 1) }
        #expect(Self.refusals(client).first.map { $0.token == place && $0.errCode == JetStreamErrorCode.wrongLastSequence } == true)
        #expect(client.stored == Set(1...place - 1))
        #expect(try Self.ids(client) == (1..<place).map { "id-\($0)" } + [nil])
        // Anew behind it.
        try Self.publish(client, place, 1, .commit)
        try client.awaitStored(place + 1...place + 1)
    }

    @Test func aStrayBeforeTheBatchRefusesItWhole() throws {
        let server = try NatsServer(.newest)
        let client = try Self.client(server)
        try Self.stray(client)
        try Self.publish(client, 0, 1, .start)
        try Self.publish(client, 0, 2, .append)
        try Self.publish(client, 0, 3, .commit)
        try eventually("refusals") { Self.refusals(client).count == 3 }
        #expect(
            Self.refusals(client).map(\.errCode) == [
                JetStreamErrorCode.wrongLastSequence, JetStreamErrorCode.fastBatchUnknown, JetStreamErrorCode.fastBatchUnknown,
            ])
        #expect(try Self.ids(client) == [nil])
    }

    @Test func aDuplicateInsideEndsTheBatchAndIsNotProven() throws {
        let server = try NatsServer(.newest)
        let client = try Self.client(server)
        try client.publish(1)
        try Self.start(client, 1)
        try Self.publish(client, 1, 2, .append)
        try Self.publish(client, 1, 3, .append, id: "id-1")
        for ordinal in UInt64(4)...600 { try Self.publish(client, 1, ordinal, .append) }
        // The server counts it, so the last word's sequence is one too low.
        try eventually("its end: \(client.outcomes.prefix(3))") {
            client.outcomes.contains(.otherSequence(token: 4, sequence: 3))
        }
        #expect(client.stored.isSubset(of: [1, 2, 3]))
        #expect(try Self.ids(client) == ["id-1", "id-2", "id-3"])
    }

    @Test(arguments: [true, false]) func aDuplicateAtTheVeryEndIsNotProven(_ isCommitted: Bool) throws {
        let server = try NatsServer(.newest)
        let client = try Self.client(server)
        try client.publish(1)
        try Self.start(client, 1)
        let last = UInt64(FastBatchMember.ackInterval)
        for ordinal in 2..<last { try Self.publish(client, 1, ordinal, .append) }
        // Its ack is due with the duplicate.
        try Self.publish(client, 1, last, isCommitted ? .commit : .append, id: "id-1")
        if !isCommitted {
            try eventually("an ack") { client.stored.count > 1 }
            try Self.end(client, 1, after: last)
        }
        try eventually("its end: \(client.outcomes.prefix(3))") {
            client.outcomes.contains(.otherSequence(token: last + 1, sequence: last))
        }
        #expect(!client.stored.contains(last + 1))
        try Self.checksOut(client)
    }

    @Test func whatTheStreamDoesNotTakeEndsTheBatch() throws {
        let server = try NatsServer(.newest)
        let client = try TestClient(server, stream: false)
        try retrying {
            let answer = try client.connection.request(
                "$JS.API.STREAM.CREATE.\(TestClient.stream)",
                Array(
                    #"{"name":"\#(TestClient.stream)","subjects":["shop.>"],"storage":"file","allow_batched":true,"max_msg_size":1000}"#
                        .utf8),
                timeout: .patient)
            #expect(!String(decoding: answer, as: UTF8.self).contains("error"))
        }
        try Self.start(client, 0)
        for ordinal in UInt64(2)...600 { try Self.publish(client, 0, ordinal, .append, byteCount: ordinal == 300 ? 2_000 : 10) }
        try eventually("its end: \(client.outcomes.prefix(4))") { Self.isEnded(client, 299) }
        #expect(client.stored == Set(1...299))
        #expect(Self.refusals(client).prefix(2).map(\.token) == [300, 300])
        #expect(Self.refusals(client).first?.errCode == 10_054)
        #expect(try Self.ids(client) == (1...299).map { "id-\($0)" })
    }

    @Test func aServerThatTakesNoneSaysSo() throws {
        let server = try NatsServer(.newest)
        let client = try TestClient(server)
        try Self.publish(client, 0, 1, .start)
        try eventually("a refusal") { Self.refusals(client).map(\.errCode) == [JetStreamErrorCode.fastBatchesDisabled] }
        // One that knows nothing of them stores it as any message.
        let old = try NatsServer(.oldest)
        let other = try TestClient(old)
        try Self.publish(other, 0, 1, .start)
        try other.awaitStored(1...1)
        #expect(other.outcomes == [.fastBatchEnded(token: 1)])
    }

    @Test func aBatchThatWasIdleIsForgottenAndStoresNothingMore() throws {
        let server = try NatsServer(.newest)
        let client = try Self.client(server)
        try Self.start(client, 0)
        try Self.publish(client, 0, 2, .append)
        var last: UInt64 = 2
        // Until it is forgotten: each message would keep it, so one at the end of a wait longer than its life.
        let forgottenAt = ContinuousClock.now + .seconds(12)
        try eventually("12 s", timeout: .seconds(30)) { ContinuousClock.now > forgottenAt }
        for _ in 0..<3 {
            last += 1
            try Self.publish(client, 0, last, .append)
        }
        try eventually("refusals") { Self.refusals(client).count == 3 }
        #expect(Self.refusals(client).allSatisfy { $0.errCode == JetStreamErrorCode.fastBatchUnknown })
        #expect(client.stored.isSubset(of: [1]))
        #expect(try Self.ids(client) == ["id-1", "id-2"])
    }

    @Test func killedUnderLoadItProvesNoMoreThanIsStored() throws {
        let server = try NatsServer(.newest)
        let client = try Self.client(server)
        for round in UInt64(0)..<5 {
            let base = try #require(try retrying { try client.connection.streamInfo(TestClient.stream) }).state.lastSequence
            try retrying { try Self.publish(client, base, 1, .start) }
            try eventually("the batch has begun") { Self.isStarted(client, base) }
            for ordinal in UInt64(2)...3_000 {
                if ordinal == 500 + round * 400 { server.kill() }
                do {
                    try Self.publish(client, base, ordinal, .append)
                } catch is JetStreamError {
                    break
                }
            }
            server.kill()
            try server.start()
            try eventually("the connection") { client.connection.isConnected }
            try Self.checksOut(client)
        }
        #expect(!client.stored.isEmpty)
    }

    @Test func aLeaderThatStepsDownEndsTheBatchAtWorst() throws {
        let cluster = try NatsCluster(.newest)
        let client = try TestClient(TestClient.options(urls: cluster.urls))
        _ = try NatsCluster.createStream(Self.wantedOfThree, over: client.connection)
        for round in UInt64(0)..<3 {
            var base: UInt64 = 0
            try eventually("a batch has begun", timeout: .seconds(60)) {
                base = try retrying { try client.connection.streamInfo(TestClient.stream) }?.state.lastSequence ?? 0
                try Self.publish(client, base, 1, .start)
                let deadline = ContinuousClock.now + .seconds(2)
                while !Self.isStarted(client, base), ContinuousClock.now < deadline { usleep(1_000) }
                return Self.isStarted(client, base)
            }
            for ordinal in UInt64(2)...2_000 {
                if ordinal == 700 { try client.connection.stepDownLeader(TestClient.stream, timeout: .seconds(20)) }
                if ordinal == 900, round == 1 { try Self.stray(client) }
                try Self.publish(client, base, ordinal, ordinal == 2_000 ? .commit : .append)
            }
            try eventually("an end, or none", timeout: .seconds(30)) {
                if client.outcomes.contains(where: { if case .fastBatchEnded(let token) = $0 { token > base } else { false } }) {
                    return true
                }
                guard let cluster = NatsCluster.state(over: client.connection), cluster.leader != nil else { return false }
                try? Self.end(client, base, after: 2_000)
                usleep(100_000)
                return Self.refusals(client).contains { $0.token > base }
            }
            try Self.checksOut(client)
        }
    }

    // MARK: - What it costs

    /// Messages a second, and how long a burst of two takes, against publishing one by one in a chain.
    @Test(arguments: [1, 3]) func whatABatchCosts(_ replicas: Int) throws {
        let servers: [NatsServer]
        if replicas == 1 { servers = [try NatsServer(.newest)] } else { servers = try NatsCluster(.newest).servers }
        let client = try TestClient(TestClient.options(urls: servers.map(\.url)))
        var wanted = Self.wantedOfThree
        wanted.replicas = replicas
        _ = try NatsCluster.createStream(wanted, over: client.connection)
        let count: UInt64 = 20_000
        let clock = ContinuousClock()
        var batch = AckBatch()
        func awaitToken(_ token: UInt64) throws {
            let deadline = clock.now + .seconds(30)
            while true {
                client.mailbox.drain(into: &batch)
                if batch.stored.contains(where: { $0.last >= token }) { return }
                guard clock.now < deadline else { throw TestFailure("\(token): \(batch.outcomes)") }
            }
        }
        func awaitStart() throws {
            repeat { client.mailbox.drain(into: &batch) } while batch.outcomes.isEmpty
        }
        let chained = try clock.measure {
            try client.publish(1...count)
            try awaitToken(count)
        }
        let batched = try clock.measure {
            try Self.publish(client, count, 1, .start)
            client.connection.sendBuffered()
            try awaitStart()
            for ordinal in 2...count { try Self.publish(client, count, ordinal, ordinal == count ? .commit : .append) }
            try awaitToken(2 * count)
        }
        var base = 2 * count
        let chainedBursts = try clock.measure {
            for _ in 0..<200 {
                try client.publish(base + 1...base + 2)
                client.connection.sendBuffered()
                try awaitToken(base + 2)
                base += 2
            }
        }
        let batchedBursts = try clock.measure {
            for _ in 0..<200 {
                try Self.publish(client, base, 1, .start)
                client.connection.sendBuffered()
                try awaitStart()
                try Self.publish(client, base, 2, .commit)
                client.connection.sendBuffered()
                try awaitToken(base + 2)
                base += 2
            }
        }
        print(
            "R\(replicas): \(count) messages chained \(chained), batched \(batched); a burst of two chained \(chainedBursts / 200), batched \(batchedBursts / 200)"
        )
        #expect(batched < chained * 3 && batchedBursts < chainedBursts * 10)
    }
}
