import Capture
import Foundation
import History
import HistoryFacts
import JetStreamPublishing
import PrivateServers
import Synchronization
import Testing
import WAL

@testable import Pipeline

/// The delivery thread with atomic batches, against a real nats-server that is killed, frozen and reconfigured.
@Suite(.serialized, .timeLimit(.minutes(3))) struct AtomicDeliveryTests {
    private let server: NatsServer

    init() throws { server = try NatsServer(.newest) }

    /// A stored event, and which batch it came in.
    private struct Stored: Equatable {
        var transaction: UInt64
        var ordinal: UInt64
        var batch: String?
    }

    private func stored() throws -> [Stored] {
        let link = try server.connect()
        defer { link.connection.close() }
        // The stream's state may stand inside a batch that is being stored; a message that is read does not.
        guard let last = try link.connection.lastMessage("S")?.sequence else { return [] }
        let reader = try link.connection.openReader("S", from: .first)
        defer { reader.close() }
        var events: [Stored] = []
        while let message = try reader.next(timeout: .patient) {
            let position = try #require(message.messageID.flatMap { MessageID($0) }).position
            events.append(
                Stored(
                    transaction: position.commitLSN.rawValue - 0x1000, ordinal: position.ordinal,
                    batch: message.header("Nats-Batch-Id")))
            if message.sequence == last { break }
        }
        return events
    }

    private func append(_ transaction: UInt64, of count: UInt64, to rig: DeliveryRig) throws {
        for ordinal in 1...count { try rig.append(transaction, ordinal: ordinal, isLast: ordinal == count) }
    }

    @Test func transactionsAreStoredWholeAndInOrder() throws {
        let rig = try DeliveryRig(server, isAtomic: true)
        var expected: [Stored] = []
        for transaction in 1...600 as ClosedRange<UInt64> {
            let count = transaction % 7 + 1
            try append(transaction, of: count, to: rig)
            expected += (1...count).map { Stored(transaction: transaction, ordinal: $0) }
            if transaction == 200 { try rig.start() }
        }
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        let stored = try self.stored()
        #expect(stored.map { Stored(transaction: $0.transaction, ordinal: $0.ordinal) } == expected)
        for events in Dictionary(grouping: stored, by: \.transaction).values where events.count > 1 {
            #expect(events[0].batch != nil && events.allSatisfy { $0.batch == events[0].batch })
        }
        // What waits is gathered.
        #expect(Set(stored.compactMap(\.batch)).count < 500)
        #expect(rig.failure == nil)
    }

    @Test func aTransactionThatNoBatchHoldsIsChained() throws {
        let rig = try DeliveryRig(server, byteLimit: 200_000, isAtomic: true)
        try rig.start()
        // Of too many events, of too many bytes, and one that fills the window before it is whole.
        try append(1, of: 3, to: rig)
        try append(2, of: 1_100, to: rig)
        for ordinal in 1...3 as ClosedRange<UInt64> {
            try rig.append(3, ordinal: ordinal, isLast: ordinal == 3, payloadByteCount: 60_000)
        }
        try rig.append(4, ordinal: 1, isLast: false, payloadByteCount: 100)
        try rig.append(4, ordinal: 2, isLast: true, payloadByteCount: 199_900)
        try append(5, of: 2, to: rig)
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        let stored = try self.stored()
        #expect(stored.map(\.transaction) == [1, 1, 1] + Array(repeating: 2, count: 1_100) + [3, 3, 3, 4, 4, 5, 5])
        #expect(stored.filter { $0.batch == nil }.map(\.transaction).allSatisfy { (2...4).contains($0) })
        #expect(stored.prefix(3).allSatisfy { $0.batch != nil } && stored.suffix(2).allSatisfy { $0.batch != nil })
    }

    @Test func theBeginningOfATransactionIsHeldBackAndNotWaitedForAtTheStop() throws {
        let rig = try DeliveryRig(server, checkpointInterval: .seconds(3600), isAtomic: true)
        try rig.start()
        try append(1, of: 2, to: rig)
        try rig.append(2, ordinal: 1, isLast: false)
        try rig.append(2, ordinal: 2, isLast: false)
        try eventually("the first is stored") { rig.window.retainedCount == 2 }
        try eventually("the rest is held back") { rig.handover.isAllStored }
        rig.handover.isDraining.store(true, ordering: .releasing)
        rig.handover.wakePublisher()
        try eventually("it is settled") { !rig.handover.isRecordUnsettled }
        #expect(try rig.storedRecord().lastSequence == 2)
        #expect(try stored().map(\.transaction) == [1, 1])
        // Once it is whole it goes.
        try rig.append(2, ordinal: 3, isLast: true)
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        #expect(try stored().map(\.transaction) == [1, 1, 2, 2, 2])
    }

    @Test func aKilledServerTearsNoTransaction() throws {
        let rig = try DeliveryRig(server, isAtomic: true)
        try rig.start()
        for transaction in 1...6_000 as ClosedRange<UInt64> {
            if transaction % 1_500 == 0 {
                server.kill()
                try server.start()
                #expect(try self.stored().last.map(\.ordinal) ?? 3 == 3)
            }
            try append(transaction, of: 3, to: rig)
        }
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        let stored = try self.stored()
        #expect(stored.map(\.transaction) == (1...6_000).flatMap { [$0, $0, $0] })
        #expect(stored.map(\.ordinal) == Array(repeating: [1, 2, 3], count: 6_000).flatMap { $0 })
        #expect(rig.failure == nil)
    }

    @Test func whatWasBegunAsAChainIsEndedAsOneAfterARestart() throws {
        let rig = try DeliveryRig(server, isAtomic: true)
        // A predecessor without batches got as far as the first event of three.
        let other = try server.connect()
        defer { other.connection.close() }
        try publish(1, ordinal: 1, at: 1, over: other)
        try append(1, of: 3, to: rig)
        try append(2, of: 2, to: rig)
        try rig.start()
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        let stored = try self.stored()
        #expect(stored.map(\.transaction) == [1, 1, 1, 2, 2])
        #expect(stored.map { $0.batch != nil } == [false, false, false, true, true])
    }

    /// The stream knows the id until its duplicate window is over, and refuses the whole batch (10201) until then.
    @Test func aBatchWithAnIDThatTheStreamKnowsIsStoredOnceItHasForgottenIt() throws {
        let rig = try DeliveryRig(server, isAtomic: true, duplicateWindow: .seconds(2))
        let other = try server.connect()
        defer { other.connection.close() }
        try publish(2, ordinal: 2, at: 1, over: other)
        // What is there no more is not compared; its id is still known.
        _ = try other.connection.request("$JS.API.STREAM.PURGE.S", [], timeout: .patient)
        rig.publisher.known.settledSequence = 1
        try append(1, of: 1, to: rig)
        try append(2, of: 3, to: rig)
        try rig.start()
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        let stored = try self.stored()
        #expect(stored.map(\.transaction) == [1, 2, 2, 2])
        #expect(stored.map(\.ordinal) == [1, 1, 2, 3])
        #expect(rig.observations.resynchronisationCount.load(ordering: .relaxed) > 0)
        #expect(rig.failure == nil)
    }

    /// Batches that were begun and never ended hold a place each, until the server gives them up.
    @Test func aBatchThatFindsNoPlaceIsSentUntilItDoes() throws {
        let narrow = try NatsServer(
            .newest, limits: "limits { batch { max_inflight_per_stream: 1, timeout: \"10s\" } }")
        let rig = try DeliveryRig(narrow, isAtomic: true)
        let other = try narrow.connect()
        defer { other.connection.close() }
        let text = Array("nobody's".utf8)
        try other.connection.publish(
            subject: Array("p.x".utf8).span, messageID: text.span, payload: text.span, expectedLastSequence: 0, token: 1,
            epoch: 0, batch: BatchMember(batch: 77, ordinal: 1, isLast: false))
        try other.connection.flush(timeout: .patient)
        try append(1, of: 3, to: rig)
        try append(2, of: 2, to: rig)
        try rig.start()
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        #expect(try rig.storedNumbers() == [1, 1, 1, 2, 2])
        #expect(rig.observations.resynchronisationCount.load(ordering: .relaxed) > 0)
        #expect(rig.failure == nil)
    }

    /// Publishes an event as another writer would, to be stored at `sequence`; returns when the server has it.
    private func publish(_ transaction: UInt64, ordinal: UInt64, at sequence: UInt64, over link: NATSLink) throws {
        let id = Array(RecoveryFacts.id(LSN(0x1000 + transaction), ordinal, xid: 7).description.utf8)
        let payload: [UInt8] = []
        try link.connection.publish(
            subject: Array("p.x".utf8).span, messageID: id.span, payload: payload.span, expectedLastSequence: sequence - 1,
            token: sequence, epoch: 0)
        try link.connection.flush(timeout: .patient)
    }

    @Test func aServerThatTakesSmallerBatchesGetsSmallerOnes() throws {
        let small = try NatsServer(.newest, limits: "limits { batch { max_msgs: 10 } }")
        let rig = try DeliveryRig(small, isAtomic: true)
        for transaction in 1...30 as ClosedRange<UInt64> { try append(transaction, of: 5, to: rig) }
        try append(31, of: 20, to: rig)
        try rig.start()
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        #expect(try rig.storedNumbers() == (1...30).flatMap { Array(repeating: $0, count: 5) } + Array(repeating: 31, count: 20))
        #expect(rig.failure == nil)
    }
}
