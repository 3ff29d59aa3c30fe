import Foundation
import History
import JetStreamPublishing
import PrivateServers
import Synchronization
import Testing
import Threads

@testable import Pipeline

/// The delivery thread on a stream that takes fast batches, against a real nats-server of the newest version.
@Suite(.serialized, .timeLimit(.minutes(3))) struct FastBatchDeliveryTests {
    private let server: NatsServer

    init() throws { server = try NatsServer(.newest) }

    /// As many in flight as there may be, fewer than two acks apart, and one at a time.
    @Test(arguments: [4_096, 300, 7, 1]) func everythingAppendedIsStoredOnceInOrder(inFlightMessages: Int) throws {
        let rig = try DeliveryRig(server, isBatched: true, inFlightMessages: inFlightMessages)
        try rig.start()
        var next: UInt64 = 1
        // Bursts of every length, and pauses between them: batches begin and end anywhere.
        for burst in [1, 2, 3, 199, 200, 201, 1, 1, 600, 5, 2_000] as [UInt64] {
            for _ in 0..<burst {
                try rig.append(next)
                next += 1
            }
            if burst < 10 { try eventually("all is stored") { rig.window.retainedCount == 0 } }
        }
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        #expect(rig.publisher.prevention == .fastBatches(orMessageIDs: true))
        #expect(try rig.storedNumbers() == Array(1..<next))
        #expect(rig.failure == nil)
        #expect(rig.observations.status().counters?.resynchronisations == 0)
    }

    @Test func straysAmongMessagesInFlightMakeNoHole() throws {
        let rig = try DeliveryRig(server, isBatched: true)
        try rig.start()
        let isOver = Atomic<Bool>(false)
        let others = try OwnedThread(name: "others") { [server] in
            guard let link = try? server.connect() else { return }
            while !isOver.load(ordering: .relaxed) {
                _ = try? link.connection.request("p.stray", Array("{}".utf8), timeout: .seconds(1))
                usleep(5_000)
            }
            link.connection.close()
        }
        for number in 1...20_000 as ClosedRange<UInt64> { try rig.append(number) }
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        isOver.store(true, ordering: .relaxed)
        others.join()
        #expect(try rig.storedNumbers() == Array(1...20_000))
        #expect(rig.observations.strayCount.load(ordering: .relaxed) > 0)
        #expect(rig.failure == nil)
    }

    @Test func aKilledServerCostsNothingAndDoublesNothing() throws {
        let rig = try DeliveryRig(server, isBatched: true)
        try rig.start()
        for number in 1...20_000 as ClosedRange<UInt64> {
            if number == 5_000 || number == 12_000 {
                server.kill()
                try server.start()
            }
            try rig.append(number)
        }
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        #expect(try rig.storedNumbers() == Array(1...20_000))
        #expect(rig.failure == nil)
    }

    /// The stream knows the last one's id, and does not hold it: it is skipped, and counted as if it were stored.
    @Test func anIDThatIsRememberedAtTheEndOfABatchIsStoredOnceItIsForgotten() throws {
        let rig = try DeliveryRig(server, duplicateWindow: .seconds(2), isBatched: true)
        try rig.publishAsPredecessor([200], after: 0)
        _ = try rig.link.connection.request("$JS.API.STREAM.PURGE.S", [], timeout: .patient)
        rig.publisher.known.settledSequence = 1
        for number in 1...200 as ClosedRange<UInt64> { try rig.append(number) }
        try rig.start()
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        #expect(try rig.storedNumbers() == Array(1...200))
        #expect(rig.failure == nil)
    }
}
