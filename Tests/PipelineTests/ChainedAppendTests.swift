import Capture
import History
import HistoryFacts
import JetStreamPublishing
import PrivateServers
import Testing
import WAL

@testable import Pipeline

/// Events that a command stores, against a real nats-server that is killed and written to by others.
@Suite(.serialized, .timeLimit(.minutes(3))) struct ChainedAppendTests {
    private let server: NatsServer
    private let link: NATSLink
    private let created: String

    init() throws {
        server = try NatsServer(.oldest)
        link = try server.connect()
        created = try link.connection.createStream(
            StreamConfiguration(name: "S", subjectPrefix: "p", duplicateWindow: .seconds(60))).created
    }

    private func append(behind end: UInt64 = 0, inFlightLimit: Int = 1) -> ChainedAppend<NATSLink> {
        ChainedAppend(
            link, stream: "S", created: created, identity: RecoveryFacts.identity, behind: end,
            inFlightLimit: inFlightLimit, ackTimeout: .seconds(2))
    }

    private func event(_ number: UInt64) -> AppendedEvent {
        AppendedEvent(
            subject: Array("p.late".utf8), messageID: "\(DeliveryRig.id(1)).late.\(DeliveryRig.id(number))",
            payload: Array("\(number)".utf8))
    }

    /// Stores them, and tells how many are stored whenever that changes.
    private func store(
        _ events: [AppendedEvent], by append: inout ChainedAppend<NATSLink>, onStored: (UInt64) -> Void
    ) throws {
        for event in events { append.add(event) }
        while append.pendingCount > 0 {
            let before = append.storedCount
            try append.turn()
            if append.storedCount > before { onStored(append.storedCount) }
            if append.pendingCount > 0 { link.wait(timeout: append.waitTime) }
        }
    }

    private func failure(_ body: () throws(StreamerError) -> UInt64) -> StreamerError? {
        do throws(StreamerError) {
            _ = try body()
            return nil
        } catch {
            return error
        }
    }

    private func stray() throws { _ = try link.connection.request("p.stray", Array("{}".utf8), timeout: .patient) }

    /// The bodies that the stream holds.
    private func stored() throws -> [String] {
        guard let last = try link.connection.streamInfo("S")?.state.lastSequence, last > 0 else { return [] }
        return try (1...last).compactMap { sequence in
            try link.connection.message("S", sequence: sequence).map { String(decoding: $0.payload, as: UTF8.self) }
        }
    }

    @Test(arguments: [1, 64]) func eachIsStoredInItsPlace(inFlightLimit: Int) throws {
        var append = append(inFlightLimit: inFlightLimit)
        #expect(try append.append((1...500).map { event($0) }) == 500)
        #expect(try stored() == (1...500).map { "\($0)" })
        #expect(append.end == 500)
        // It goes on behind them.
        #expect(try append.append([event(501)]) == 501)
        #expect(append.storedCount == 501)
        #expect(append.pendingByteCount == 0)
    }

    @Test func aStrayInTheMiddleIsPassedOver() throws {
        var append = append()
        try store((1...4).map { event($0) }, by: &append) { if $0 == 2 { try? stray() } }
        // The third is refused, if it was not on its way by then.
        #expect(append.lastStoredSequence == 5)
        #expect(try stored().filter { $0 != "{}" } == ["1", "2", "3", "4"])
    }

    @Test func aStrayThatTakesThePlaceOfOneOfManyInFlightIsAnError() throws {
        try stray()
        var append = append(inFlightLimit: 2)
        let error = failure { () throws(StreamerError) in try append.append([event(1), event(2)]) }
        guard case .stop(.holeFound, let what, _) = error else { throw TestFailure("\(String(describing: error))") }
        #expect(what.contains("lacks 1 events before sequence 2"))
        #expect(try stored() == ["{}", "2"])
    }

    @Test func whatAnEarlierRunStoredIsFoundAndNotStoredTwice() throws {
        var first = append()
        _ = try first.append([event(1), event(2)])
        var second = append()
        #expect(try second.append((1...3).map { event($0) }) == 3)
        #expect(try stored() == ["1", "2", "3"])
    }

    @Test func anEventOfAnotherOfUsEndsIt() throws {
        var other = append()
        _ = try other.append([event(9)])
        var append = append()
        let error = failure { () throws(StreamerError) in try append.append([event(1)]) }
        guard case .streamMoved = error else { throw TestFailure("\(String(describing: error))") }
        #expect(try stored() == ["9"])
    }

    @Test func aKilledServerCostsNothingAndDoublesNothing() throws {
        var append = append()
        try store((1...300).map { event($0) }, by: &append) { count in
            guard count == 150 else { return }
            server.kill()
            try? server.start()
        }
        #expect(try stored() == (1...300).map { "\($0)" })
    }

    @Test func anotherStreamOfThatNameIsRefused() throws {
        try stray()
        var append = ChainedAppend(
            link, stream: "S", created: "2000-01-01T00:00:00Z", identity: RecoveryFacts.identity, behind: 0)
        let error = failure { () throws(StreamerError) in try append.append([event(1)]) }
        guard case .streamMoved = error else { throw TestFailure("\(String(describing: error))") }
    }

    @Test func whatIsNotWantedAnyMoreEnds() throws {
        var append = append()
        let error = failure { () throws(StreamerError) in try append.append([event(1)]) { false } }
        guard case .cancelled = error else { throw TestFailure("\(String(describing: error))") }
        #expect(try stored().isEmpty)
    }
}
