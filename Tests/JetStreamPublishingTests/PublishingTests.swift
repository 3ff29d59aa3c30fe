import Foundation
import PrivateServers
import Testing

@testable import JetStreamPublishing

@Suite("Publishing", .serialized)
struct PublishingTests {
    @Test(arguments: NatsServer.Version.allCases)
    func aPipelinedChainIsStoredInOrder(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let client = try TestClient(server)
        try client.publish(1...10_000)
        try client.awaitStored(1...10_000)
        #expect(client.outcomes.isEmpty)
        let reader = try client.connection.openReader(TestClient.stream, from: .first)
        for sequence in UInt64(1)...10_000 {
            let message = try #require(try reader.next(timeout: .seconds(10)))
            try #require(message.sequence == sequence)
            try #require(message.messageID == "id-\(sequence)")
            try #require(message.payload == Array("payload \(sequence)".utf8))
        }
    }

    @Test func theLayoutOfMessagesIsProvenOnTheLibraryThatIsLoaded() {
        #expect(MessageLayout.isProven)
    }

    @Test func messagesOfOurMakingAndOfLibnatsAreStoredAlike() throws {
        let server = try NatsServer(.newest)
        let ours = try TestClient(server, stream: false)
        try ours.createStream(atomic: true)
        var options = TestClient.options(server)
        options.leavesMessagesToLibnats = true
        let libnats = try TestClient(options)
        #expect(ours.connection.laysOutMessages && !libnats.connection.laysOutMessages)
        let payloads = [[], Array("grüße\r\n\0".utf8), [UInt8](repeating: 120, count: 300_000)]
        var sequence: UInt64 = 0
        for client in [ours, libnats] {
            for (index, payload) in payloads.enumerated() {
                sequence += 1
                try client.publish(
                    sequence, id: "\(client === ours ? "a" : "b")-\(index)", subject: "shop.Größe.INSERT", payload: payload)
            }
            try publishBatch(client, batch: 1, sequences: sequence + 1...sequence + 2)
            sequence += 2
            try client.awaitStored(sequence - 4...sequence)
            #expect(client.outcomes.isEmpty)
        }
        let reader = try ours.connection.openReader(TestClient.stream, from: .first)
        var stored: [StoredMessage] = []
        for _ in 1...sequence { stored.append(try #require(try reader.next(timeout: .seconds(10)))) }
        for (one, other) in zip(stored.prefix(5), stored.suffix(5)) {
            #expect(one.subject == other.subject)
            #expect(one.headers.map(\.name).sorted() == other.headers.map(\.name).sorted())
            #expect(one.payload == other.payload || one.subject == "shop.Order.INSERT")
        }
        #expect(stored.prefix(3).map(\.payload) == payloads)
        #expect(
            Set(stored[1].headers) == [
                StoredMessage.Header(name: "Nats-Msg-Id", value: "a-1"),
                StoredMessage.Header(name: "Nats-Expected-Last-Sequence", value: "1"),
            ])
    }

    @Test func whatIsSentAtOnceIsStoredInOrder() throws {
        let server = try NatsServer(.oldest)
        let client = try TestClient(server)
        for sequence in UInt64(1)...500 {
            try client.publish(sequence)
            client.connection.sendBuffered()
        }
        try client.awaitStored(1...500)
        #expect(client.outcomes.isEmpty)
        server.signal(SIGSTOP)
        defer { server.signal(SIGCONT) }
        try client.publish(501)
        let began = ContinuousClock.now
        client.connection.sendBuffered()
        #expect(ContinuousClock.now - began < .seconds(30))
        server.signal(SIGCONT)
        try client.awaitStored(501...501)
    }

    @Test(arguments: NatsServer.Version.allCases)
    func afterAHoleEverythingIsRefusedAndSentAgainFromItIsStored(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let client = try TestClient(server)
        try client.publish(1...50)
        try client.publish(52...100)
        try client.awaitStored(1...50)
        try eventually("49 refusals") { client.outcomes.count == 49 }
        for (index, outcome) in client.outcomes.enumerated() {
            #expect(
                outcome == .refused(token: UInt64(52 + index), errCode: 10_071, code: 400, lastSequence: 50))
        }
        try client.publish(51...100)
        try client.awaitStored(1...100)
        #expect(try client.connection.streamInfo(TestClient.stream)?.state.messages == 100)
    }

    @Test(arguments: NatsServer.Version.allCases)
    func whatIsStoredAlreadyIsNeverReportedAsStoredAgain(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let client = try TestClient(server)
        try client.publish(1...3)
        try client.awaitStored(1...3)
        // The same id where the chain is right: a duplicate on every server.
        try client.publish(4, id: "id-2")
        try eventually("a duplicate") { client.outcomes == [.duplicate(token: 4, sequence: 2)] }
        // The same id where the chain is wrong: 2.9 looks at the id first, 2.12 and later on R1 at the chain.
        try client.publish(2)
        try eventually("an answer") { client.outcomes.count == 2 }
        #expect(
            client.outcomes[1] == .duplicate(token: 2, sequence: 2)
                || client.outcomes[1] == .refused(token: 2, errCode: 10_071, code: 400, lastSequence: 3))
        #expect(client.stored == [1, 2, 3])
        #expect(try client.connection.streamInfo(TestClient.stream)?.state.lastSequence == 3)
    }

    /// Numbers alone let what follows a stray be stored behind the message that it displaced; ids do not.
    @Test(arguments: [NatsServer.Version.oldest, .middle, .newest])
    func behindAStrayNothingIsStoredThatExpectsThePreviousID(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let client = try TestClient(server)
        func publish(_ sequence: UInt64) throws {
            let (subject, id, payload) = (Array("shop.Order.INSERT".utf8), Array("id-\(sequence)".utf8), [UInt8]())
            let previous = Array("id-\(sequence - 1)".utf8)
            try client.connection.publish(
                subject: subject.span, messageID: id.span, payload: payload.span, expectedLastSequence: sequence - 1,
                token: sequence, epoch: TestClient.epoch, previousMessageID: previous.span)
        }
        try client.publish(1)
        for sequence in UInt64(2)...20 { try publish(sequence) }
        try client.awaitStored(1...20)
        try client.connection.publish(subject: "shop.Stray", payload: [1], headers: [], token: 21, epoch: TestClient.epoch)
        for sequence in UInt64(21)...60 { try publish(sequence) }
        try eventually("40 refusals") { client.outcomes.count == 40 }
        #expect(client.stored == Set(1...21))
        let codes = client.outcomes.map { if case .refused(_, let errCode, _, _) = $0 { errCode } else { 0 } }
        #expect(codes.first == JetStreamErrorCode.wrongLastSequence)
        #expect(codes.contains(JetStreamErrorCode.wrongLastMessageID))
        #expect(try client.connection.streamInfo(TestClient.stream)?.state.lastSequence == 21)
        // Began anew without it: after a stray without an id there is none to expect.
        try client.publish(22, id: "id-21")
        try client.awaitStored(22...22)
    }

    @Test func theRoomForHeadersIsWhatTheyTake() throws {
        let server = try NatsServer(.newest, configuration: "max_payload: 8192")
        let client = try TestClient(server)
        let (subject, id) = (Array("shop.Order.INSERT".utf8), [UInt8](repeating: 0x69, count: 1_024))
        let room =
            8_192 - JetStreamConnection.headerByteCount(messageIDByteCount: 1_024, previousMessageIDByteCount: 1_024)
        func publish(_ byteCount: Int, id: [UInt8], expecting previous: [UInt8]) throws {
            let payload = [UInt8](repeating: 0x61, count: byteCount)
            try client.connection.publish(
                subject: subject.span, messageID: id.span, payload: payload.span, expectedLastSequence: 9, token: 10,
                epoch: TestClient.epoch, previousMessageID: previous.span)
        }
        try publish(room, id: id, expecting: id)
        // 19 digits fewer than there may be.
        #expect(throws: JetStreamError.self) { try publish(room + 20, id: id, expecting: id) }
        #expect(throws: JetStreamError.self) { try publish(1, id: id, expecting: id + id) }
        #expect(throws: JetStreamError.self) { try publish(1, id: id, expecting: Array("a b".utf8)) }
        try eventually("a refusal") { client.outcomes.count == 1 }
    }

    @Test(arguments: NatsServer.Version.allCases)
    func acksOfAnEpochThatIsOverAreDropped(_ version: NatsServer.Version) throws {
        let server = try NatsServer(version)
        let client = try TestClient(server)
        try client.publish(1, epoch: TestClient.epoch - 1)
        try eventually("a stale ack") { client.staleAckCount == 1 }
        #expect(client.stored.isEmpty)
        try client.publish(2)
        try client.awaitStored(2...2)
    }

    @Test func withoutAStreamThereAreNoResponders() throws {
        let server = try NatsServer(.newest)
        let client = try TestClient(server, stream: false)
        try client.publish(1)
        try eventually("no responders") { client.outcomes == [.noResponders(token: 1)] }
        #expect(throws: JetStreamError.noResponders(operation: "nobody.there")) {
            try client.connection.request("nobody.there", [], timeout: .patient)
        }
    }

    @Test func aMessageOverTheServersLimitIsRefusedHereAndConcernsOnlyItself() throws {
        let server = try NatsServer(.oldest, configuration: "max_payload: 4096")
        let client = try TestClient(server)
        #expect(client.connection.maxPayload == 4_096)
        #expect(throws: JetStreamError.payloadTooLarge(byteCount: 4_096, limit: 4_096)) {
            try client.publish(1, payload: [UInt8](repeating: 0x61, count: 4_096))
        }
        let room = 4_096 - JetStreamConnection.headerByteCount(messageIDByteCount: "id-1".utf8.count)
        try client.publish(1, payload: [UInt8](repeating: 0x61, count: room))
        try client.awaitStored(1...1)
        #expect(client.connection.isConnected)
    }

    @Test func subjectsAndIDsThatWouldBreakTheProtocolAreRefusedHere() throws {
        let server = try NatsServer(.oldest)
        let client = try TestClient(server)
        for subject in ["", "a b", "a\r\nPUB x 1", "a\tb", "a\u{0}b", String(repeating: "s", count: 3_901)] {
            do throws(JetStreamError) {
                try client.publish(1, subject: subject)
                Issue.record("accepted \(subject.debugDescription)")
            } catch {
                guard case .invalidMessage = error else { throw error }
            }
        }
        for id in ["", "a b", "a\r\nX: y", "é", String(repeating: "i", count: 1_025)] {
            do throws(JetStreamError) {
                try client.publish(1, id: id)
                Issue.record("accepted \(id.debugDescription)")
            } catch {
                guard case .invalidMessage = error else { throw error }
            }
        }
        try client.publish(1, id: String(repeating: "i", count: 1_024), subject: "shop.é.INSERT")
        try client.publish(2, subject: "shop." + String(repeating: "s", count: 3_895))
        try client.awaitStored(1...2)
    }

    @Test func bytesOfAnyKindAreStoredAsTheyAre() throws {
        let server = try NatsServer(.newest)
        let client = try TestClient(server)
        let payload = (0..<70_000).map { UInt8(truncatingIfNeeded: $0) }
        try client.publish(1, payload: payload)
        try client.publish(2, payload: [])
        try client.awaitStored(1...2)
        #expect(try client.connection.message(TestClient.stream, sequence: 1)?.payload == payload)
        #expect(try client.connection.lastMessage(TestClient.stream)?.payload == [])
        #expect(try client.connection.lastMessage(TestClient.stream)?.header("Nats-Expected-Last-Sequence") == "1")
    }

    @Test func anAtomicBatchIsOneAckForAllItsMessages() throws {
        let server = try NatsServer(.newest)
        let client = try TestClient(server, stream: false)
        try client.createStream(atomic: true)
        try client.publish(1)
        try publishBatch(client, batch: 1, sequences: 2...6)
        try client.awaitStored(1...6)
        #expect(client.outcomes.isEmpty)
        #expect(try client.connection.lastMessage(TestClient.stream)?.messageID == "id-6")
        // With the wrong start nothing of the batch is stored.
        try publishBatch(client, batch: 2, sequences: 8...9)
        try eventually("a refusal") { client.outcomes.count == 1 }
        #expect(client.outcomes.first?.token == 9)
        #expect(try client.connection.streamInfo(TestClient.stream)?.state.lastSequence == 6)
        try publishBatch(client, batch: 3, sequences: 7...9)
        try client.awaitStored(1...9)
    }

    @Test func aBatchWithAnIDThatTheStreamKnowsIsRefusedWhole() throws {
        let server = try NatsServer(.newest)
        let client = try TestClient(server, stream: false)
        try client.createStream(atomic: true)
        try client.publish(1)
        try publishBatch(client, batch: 1, sequences: 2...6, ids: [2, 3, 1, 5, 6])
        try eventually("a refusal") { client.outcomes.count == 1 }
        guard case .refused(token: 6, errCode: JetStreamErrorCode.batchDuplicate, _, _) = client.outcomes.first else {
            throw TestFailure("\(client.outcomes)")
        }
        #expect(try client.connection.streamInfo(TestClient.stream)?.state.lastSequence == 1)
    }

    private func publishBatch(
        _ client: TestClient, batch: UInt64, sequences: ClosedRange<UInt64>, ids: [UInt64]? = nil
    ) throws {
        for (index, sequence) in sequences.enumerated() {
            let subject = Array("shop.Order.INSERT".utf8)
            let id = Array("id-\(ids?[index] ?? sequence)".utf8)
            try client.connection.publish(
                subject: subject.span, messageID: id.span, payload: id.span,
                expectedLastSequence: sequences.lowerBound - 1, token: sequences.upperBound, epoch: TestClient.epoch,
                batch: BatchMember(batch: batch, ordinal: index + 1, isLast: sequence == sequences.upperBound))
        }
    }

    @Test func saysWhichServerItIs() throws {
        for version in NatsServer.Version.allCases {
            let server = try NatsServer(version)
            let client = try TestClient(server, stream: false)
            #expect(client.connection.serverVersion?.hasPrefix(version.prefix) == true)
            #expect(client.connection.connectedURL == server.url)
            #expect(client.connection.isConnected)
            #expect(!client.connection.isWedged)
            #expect(client.connection.isStandalone == true)
            #expect(client.connection.takesFastBatches == (version == .newest))
            try client.createStream()
            #expect(try client.connection.streamInfo(TestClient.stream)?.cluster?.name == nil)
            try client.connection.flush(timeout: .patient)
        }
    }

    @Test func afterCloseEveryCallThrowsAndNoEventComes() throws {
        let server = try NatsServer(.oldest)
        let client = try TestClient(server)
        client.connection.close()
        client.connection.close()
        #expect(throws: JetStreamError.connectionClosed("closed by us")) { try client.publish(1) }
        #expect(throws: JetStreamError.connectionClosed("closed by us")) {
            try client.connection.request("x", [], timeout: .patient)
        }
        #expect(throws: JetStreamError.connectionClosed("closed by us")) {
            try client.connection.flush(timeout: .patient)
        }
        #expect(client.events.isEmpty)
    }

    @Test func aRequestThatNobodyAnswersTimesOut() throws {
        let server = try NatsServer(.oldest)
        let client = try TestClient(server)
        // A plain subscriber keeps "no responders" away.
        let inbox = try client.connection.openInbox()
        try client.connection.flush(timeout: .patient)
        let other = try TestClient(server, stream: false)
        let start = ContinuousClock.now
        #expect(throws: JetStreamError.timedOut(operation: inbox.subject)) {
            try other.connection.request(inbox.subject, [], timeout: .milliseconds(200))
        }
        #expect(ContinuousClock.now - start < .seconds(30))
    }
}
