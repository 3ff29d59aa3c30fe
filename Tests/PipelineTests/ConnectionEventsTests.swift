import JetStreamPublishing
import Testing

@testable import Pipeline

@Suite struct ConnectionEventsTests {
    @Test func eventsComeInTheirOrderAndOnce() {
        let events = NATSLink.ConnectionEvents()
        let sent: [ConnectionEvent] = [.disconnected("a"), .asyncError("b"), .reconnected("c")]
        for event in sent { events.append(event) }
        #expect(events.take() == sent)
        #expect(events.take().isEmpty)
    }

    @Test func aFloodNeverHidesHowTheConnectionStandsNow() {
        let events = NATSLink.ConnectionEvents()
        events.append(.permissionViolation("p"))
        for index in 0..<1_000 { events.append(.asyncError("\(index)")) }
        events.append(.disconnected("d"))
        events.append(.closed("c"))
        let taken = events.take()
        #expect(taken.count == NATSLink.ConnectionEvents.limit)
        #expect(taken.first == .permissionViolation("p"))
        #expect(taken.suffix(2) == [.disconnected("d"), .closed("c")])
    }

    @Test func whatCannotBeRepeatedIsBoundedToo() {
        let events = NATSLink.ConnectionEvents()
        for index in 0..<1_000 { events.append(.permissionViolation("\(index)")) }
        #expect(events.take().count == NATSLink.ConnectionEvents.limit)
    }
}
