import Capture
import Foundation
import History
import JetStreamPublishing
import PostgresReplication
import PrivateServers
import Synchronization
import Testing
import Threads
import WAL

@testable import Pipeline

/// The delivery thread against a real nats-server that is killed, frozen and tampered with.
@Suite(.serialized, .timeLimit(.minutes(3))) struct DeliveryTests {
    private let server: NatsServer

    init() throws { server = try NatsServer(.oldest) }

    @Test func everythingAppendedIsStoredOnceInOrder() throws {
        let rig = try DeliveryRig(server)
        try rig.start()
        for number in 1...5_000 as ClosedRange<UInt64> { try rig.append(number) }
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        #expect(try rig.storedNumbers() == Array(1...5_000))
        try eventually("all is counted") { rig.observations.status().counters?.events == 5_000 }
        #expect(rig.failure == nil)
    }

    @Test func whatMayBeConfirmedIsInTheRecordBeforeItIsHandedBack() throws {
        let rig = try DeliveryRig(server, checkpointInterval: .zero)
        try rig.start()
        var recorded: UInt64 = 1
        for number in 1...400 as ClosedRange<UInt64> {
            try rig.append(number)
            try eventually("it is stored") { rig.window.retainedCount == 0 }
            rig.handover.confirmableLSN.store(0x1000 + number, ordering: .releasing)
            rig.handover.wakePublisher()
            if number % 40 == 0 {
                try eventually("it is recorded") {
                    rig.handover.recordedLSN.load(ordering: .acquiring) == 0x1000 + number
                }
            }
            let now = rig.handover.recordedLSN.load(ordering: .acquiring)
            #expect(now >= recorded)
            recorded = now
            if number % 10 == 0 {
                let record = try rig.storedRecord()
                #expect(record.confirmedLSN.rawValue >= now)
                #expect(record.lastSequence >= now &- 0x1000 || now == 1)
            }
        }
    }

    @Test func aDrainingThreadRecordsTheLastSequenceWithoutWaitingForItsTime() throws {
        let rig = try DeliveryRig(server, checkpointInterval: .seconds(3600))
        try rig.start()
        for number in 1...10 as ClosedRange<UInt64> { try rig.append(number) }
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        // Nothing to confirm: they are the beginning of a transaction.
        #expect(rig.handover.isRecordUnsettled)
        #expect(try rig.storedRecord().lastSequence == 0)
        rig.handover.isDraining.store(true, ordering: .releasing)
        rig.handover.wakePublisher()
        try eventually("it is settled") { !rig.handover.isRecordUnsettled }
        let record = try rig.storedRecord()
        #expect(record.lastSequence == 10)
        #expect(record.lastMessageID == DeliveryRig.id(10))
    }

    @Test func aKilledServerCostsNothingAndDoublesNothing() throws {
        let rig = try DeliveryRig(server)
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

    @Test func theLagIsToldWhileNATSIsAway() throws {
        let rig = try DeliveryRig(server)
        rig.observations.saw(SlotState(name: "s", confirmedFlushLSN: LSN(1), currentWALLSN: LSN(1)))
        try rig.start()
        try rig.append(1)
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        server.kill()
        try eventually("it is noticed") { !rig.link.connection.isConnected }
        try rig.append(2, commitTimestamp: PostgresTimestamp(PostgresTimestamp.now.rawValue - 60_000_000))
        try eventually("the lag is told") { rig.observations.status().source.lagSeconds ?? 0 >= 60 }
        try server.start()
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        try eventually("none is left") { rig.observations.status().source.lagSeconds == 0 }
    }

    @Test func aFrozenServerIsOutwaited() throws {
        let rig = try DeliveryRig(server, ackTimeout: .milliseconds(300))
        try rig.start()
        for number in 1...300 as ClosedRange<UInt64> { try rig.append(number) }
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        server.signal(SIGSTOP)
        for number in 301...600 as ClosedRange<UInt64> { try rig.append(number) }
        try eventually("it resynchronises") { rig.observations.status().counters?.resynchronisations != 0 }
        server.signal(SIGCONT)
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        #expect(try rig.storedNumbers() == Array(1...600))
    }

    @Test func whatAPredecessorStoresLateIsNeitherLostNorStoredTwice() throws {
        let rig = try DeliveryRig(server)
        try rig.publishAsPredecessor(Array(1...13), after: 0)
        try rig.append(1)
        try rig.start()
        try eventually("it was found") { rig.window.retainedCount == 0 }
        #expect(!rig.observations.status().ready)
        for number in 2...40 as ClosedRange<UInt64> { try rig.append(number) }
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        #expect(try rig.storedNumbers() == Array(1...40))
        #expect(rig.publisher.known.storedID == DeliveryRig.id(40))
    }

    /// As above, with the reading thread at full speed, so that events come between the look at the stream's end and what follows from it.
    @Test(arguments: 0..<5) func aPredecessorsLatePublishesMeetAThreadThatGoesOn(round: Int) throws {
        let rig = try DeliveryRig(server)
        try rig.publishAsPredecessor(Array(1...300), after: 0)
        try rig.append(1)
        try rig.start()
        for number in 2...3_000 as ClosedRange<UInt64> { try rig.append(number) }
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        #expect(try rig.storedNumbers() == Array(1...3_000))
        #expect(rig.failure == nil)
    }

    @Test func aMessageOfSomebodyElseIsToldAndStopsNothing() throws {
        let rig = try DeliveryRig(server)
        try rig.publishStray()
        try rig.start()
        for number in 1...2_000 as ClosedRange<UInt64> {
            try rig.append(number)
            if number % 500 == 0 {
                try eventually("all is stored") { rig.window.retainedCount == 0 }
                try rig.publishStray()
            }
        }
        try rig.append(2_001)
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        #expect(try rig.storedNumbers() == Array(1...2_001))
        #expect(rig.observations.status().counters?.strays == 5)
        #expect(rig.failure == nil)
    }

    /// Ends with this reason.
    private func expectStop(_ reason: StopReason, _ rig: DeliveryRig, naming text: String? = nil) throws {
        try eventually("it ended") { rig.failure != nil }
        guard let failure = rig.failure, case .stop(reason, _) = FailurePolicy.verdict(on: failure) else {
            Issue.record("\(String(describing: rig.failure))")
            return
        }
        if let text { #expect("\(failure)".contains(text)) }
    }

    @Test func aHoleThatAPredecessorLeftStopsItAndNamesWhatIsMissing() throws {
        let rig = try DeliveryRig(server)
        try rig.publishAsPredecessor([1, 2, 3, 5, 8], after: 0)
        try rig.start()
        for number in 1...40 as ClosedRange<UInt64> { try rig.append(number) }
        try expectStop(.holeFound, rig, naming: "lacks 1 event before sequence 4 (0/1005 change 1): \(DeliveryRig.id(4))")
        #expect(try rig.storedNumbers() == [1, 2, 3, 5, 8])
        #expect(rig.publisher.known.storedID == DeliveryRig.id(3))
    }

    @Test func anIDOfOursThatIsNeverDecodedStopsIt() throws {
        let rig = try DeliveryRig(server)
        try rig.publishAsPredecessor([1, 2, 1_000], after: 0)
        try rig.start()
        for number in 1...50 as ClosedRange<UInt64> { try rig.append(number) }
        // As far as is known it may come: nothing is sent before it has, or cannot any more.
        try eventually("what is before it is compared") { rig.handover.storedSequence.load(ordering: .acquiring) == 2 }
        #expect(rig.failure == nil)
        rig.handover.decodedLSN.store(0x1000 + 1_001, ordering: .releasing)
        rig.handover.wakePublisher()
        try expectStop(.historyDiverged, rig)
        #expect(try rig.storedNumbers() == [1, 2, 1_000])
    }

    @Test func anIDOfOursBeyondTheServersWALStopsIt() throws {
        let rig = try DeliveryRig(server)
        try rig.publishAsPredecessor([1, 1_000], after: 0)
        try rig.start()
        try rig.append(1)
        try eventually("what is before it is compared") { rig.handover.storedSequence.load(ordering: .acquiring) == 1 }
        rig.handover.serverLSN.store(0x1000 + 900, ordering: .releasing)
        rig.handover.inspectionCount.add(2, ordering: .acquiringAndReleasing)
        rig.handover.wakePublisher()
        try expectStop(.historyDiverged, rig)
    }

    @Test func anOldMessageOfOursStoredAgainIsAStray() throws {
        let rig = try DeliveryRig(server, duplicateWindow: .milliseconds(100))
        try rig.publishAsPredecessor([1, 2, 3, 4], after: 0)
        let echo = [("Nats-Msg-Id", DeliveryRig.id(2).description)]
        try eventually("JetStream has forgotten the id") {
            (try? rig.link.connection.store([], on: "p.x", headers: echo, in: "S")) != nil
        }
        try rig.start()
        for number in 1...50 as ClosedRange<UInt64> { try rig.append(number) }
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        #expect(try rig.storedNumbers() == [1, 2, 3, 4, 2] + Array(5...50))
        #expect(rig.observations.status().counters?.strays == 1)
    }

    @Test func aMessageDeletedBeforeItWasComparedStopsIt() throws {
        let rig = try DeliveryRig(server)
        try rig.publishAsPredecessor([1, 2, 3], after: 0)
        _ = try rig.link.connection.request(
            "$JS.API.STREAM.MSG.DELETE.S", Array(#"{"seq":2}"#.utf8), timeout: .patient)
        try rig.start()
        for number in 1...5 as ClosedRange<UInt64> { try rig.append(number) }
        try expectStop(.holeFound, rig, naming: "lacks the sequences 2 to 2")
    }

    @Test func whatRetentionTookIsStoredWhereThereWereSequencesEnough() throws {
        let rig = try DeliveryRig(server)
        try rig.publishAsPredecessor([1, 2, 3, 4], after: 0)
        _ = try rig.link.connection.request(
            "$JS.API.STREAM.PURGE.S", Array(#"{"seq":4}"#.utf8), timeout: .patient)
        try rig.start()
        for number in 1...9 as ClosedRange<UInt64> { try rig.append(number) }
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        #expect(try rig.storedNumbers() == Array(4...9))
    }

    @Test func whereAllIsGoneThatWasNotComparedItStops() throws {
        let rig = try DeliveryRig(server)
        try rig.publishAsPredecessor([1, 2, 3, 4], after: 0)
        try rig.publishStray()
        _ = try rig.link.connection.request(
            "$JS.API.STREAM.PURGE.S", Array(#"{"seq":5}"#.utf8), timeout: .patient)
        try rig.start()
        try rig.append(1)
        try expectStop(.streamPurged, rig)
    }

    @Test func anotherOwnerOfTheRecordStopsIt() throws {
        let rig = try DeliveryRig(server)
        var record = try rig.storedRecord()
        record.owner = "another"
        _ = try rig.link.connection.bucketPut(
            CheckpointRecord.bucket, key: "S", value: record.json(), expectedRevision: nil)
        rig.handover.confirmableLSN.store(0x2000, ordering: .releasing)
        try rig.start()
        try eventually("it ended") { rig.failure != nil }
        guard case .stop(.otherWriter, _, _)? = rig.failure else {
            Issue.record("\(String(describing: rig.failure))")
            return
        }
        #expect(rig.handover.recordedLSN.load(ordering: .acquiring) == 1)
    }

    @Test func aRecordThatIsGoneStopsIt() throws {
        let rig = try DeliveryRig(server)
        _ = try rig.link.connection.request("$JS.API.STREAM.DELETE.KV_slotstream", [], timeout: .patient)
        rig.handover.confirmableLSN.store(0x2000, ordering: .releasing)
        try rig.start()
        try eventually("it ended") { rig.failure != nil }
        #expect(rig.handover.recordedLSN.load(ordering: .acquiring) == 1)
    }

    @Test(arguments: ["DELETE", "PURGE"])
    func aStreamThatIsEmptiedIsGoneOnWithAndOneThatIsDeletedIsNot(_ what: String) throws {
        let rig = try DeliveryRig(server)
        try rig.start()
        for number in 1...10 as ClosedRange<UInt64> { try rig.append(number) }
        try eventually("all is stored") { rig.window.retainedCount == 0 }
        _ = try rig.link.connection.request("$JS.API.STREAM.\(what).S", [], timeout: .patient)
        try rig.append(11)
        if what == "PURGE" {
            try eventually("it is stored") { rig.window.retainedCount == 0 }
            #expect(try rig.storedNumbers() == [11])
        } else {
            try eventually("it ended") { rig.failure != nil }
            guard case .streamMoved? = rig.failure else {
                Issue.record("\(String(describing: rig.failure))")
                return
            }
        }
    }

    @Test(arguments: [Int64.min, .max])
    func noCommitTimeHoweverOddEndsIt(_ microseconds: Int64) throws {
        let rig = try DeliveryRig(server)
        try rig.start()
        try rig.append(1, commitTimestamp: PostgresTimestamp(microseconds))
        try eventually("it is stored") { rig.window.retainedCount == 0 }
        #expect(rig.failure == nil)
    }

    @Test(arguments: [SIGSTOP, SIGKILL])
    func aStopIsNotHeldUpByAServerThatDoesNotAnswer(_ signal: Int32) throws {
        let rig = try DeliveryRig(server, ackTimeout: .seconds(30))
        try rig.start()
        for number in 1...2_000 as ClosedRange<UInt64> { try rig.append(number) }
        server.signal(signal)
        // It waits for acks, reads the stream's end, or dials: the stop meets it there.
        for number in 2_001...2_500 as ClosedRange<UInt64> { try rig.append(number) }
        try eventually("it notices", timeout: .seconds(90)) {
            signal == SIGSTOP || !rig.link.connection.isConnected
        }
        let began = Instant.now
        rig.stop()
        #expect(Instant.now.duration(since: began) < .seconds(30))
    }
}
